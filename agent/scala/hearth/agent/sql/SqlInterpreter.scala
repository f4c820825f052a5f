package hearth.agent.sql

import hearth.agent.{Interpreter, Interruptible, Outcome, Running}
import hearth.agent.result.SqlResult
import org.apache.spark.sql.SparkSession

/** Runs Spark SQL in a session. Several statements in one piece of code run in turn; the last one's rows are the result. */
final class SqlInterpreter(spark: SparkSession) extends Interpreter {
  private val interruptible = new Interruptible
  private val completion = new SqlCompletion(spark)

  override def kind: String = "sql"

  override def run(statement: Running): Outcome =
    try interruptible.run(SqlInterpreter.execute(spark, statement.code, statement.maxRows, () => statement.cancelled))
    catch { case failure: Throwable => SqlFailure.of(failure) }

  override def cancel(statement: Running): Unit = interruptible.interrupt()

  /** Plans one query and generates the code of another, without a job and without a trace in the Spark UI. */
  override def settle(): Unit = {
    spark.sql("select a + 1 as b, 'c' as c from values (1) as t(a) where a > 0").queryExecution.executedPlan.executeCollect()
    spark.range(1).selectExpr("id + 1 as n").queryExecution.executedPlan.execute()
  }

  override def complete(code: String, cursor: Int): Seq[String] = completion.candidates(code, cursor)

  override def close(): Unit = interruptible.interrupt()
}

object SqlInterpreter {

  /** Runs what `code` says, one statement after the other.
    *
    * @throws Throwable of Spark, for the first statement that fails
    */
  def execute(spark: SparkSession, code: String, maxRows: Int, cancelled: () => Boolean): Outcome = {
    val statements = Statements.of(spark, code)
    statements.dropRight(1).foreach { statement =>
      spark.sql(statement)
      if (cancelled()) throw new hearth.agent.Cancelled
    }
    SqlResult.of(spark.sql(statements.last), maxRows)
  }
}
