package hearth.agent.repl

import java.util.concurrent.ConcurrentHashMap

import scala.tools.nsc.interpreter.lines.Lines

import org.apache.spark.sql.SparkSession

/** What every Scala session begins with: `spark`, `sc`, `sqlContext` and the imports of spark-shell. */
object Prelude {
  private val sessions = new ConcurrentHashMap[Int, SparkSession]

  /** The SparkSession of the Scala session with this range of lines; called by the compiled prelude. */
  def spark(range: Int): SparkSession = {
    val found = sessions.get(range)
    if (found == null) throw new IllegalStateException("spark and sc are not there in tasks: use them in the driver's code")
    found
  }

  def bind(range: Int, spark: SparkSession): Unit = sessions.put(range, spark)

  def unbind(range: Int): Unit = sessions.remove(range)

  /** Compiles it, without running anything of it.
    *
    * The values are lazy and transient: a closure that drags its session along must not drag Spark.
    */
  def compile(lines: Lines, range: Int): Unit = lines.compile(code(range)) match {
    case Right(line) => line.recordLazily()
    case Left(_) =>
      throw new IllegalStateException("the prelude of a Scala session does not compile: " + lines.said().map(_.message).mkString("; "))
  }

  private def code(range: Int): String =
    s"""@transient lazy val spark: _root_.org.apache.spark.sql.SparkSession = _root_.hearth.agent.repl.Prelude.spark($range)
       |@transient lazy val sc: _root_.org.apache.spark.SparkContext = spark.sparkContext
       |@transient lazy val sqlContext: _root_.org.apache.spark.sql.SQLContext = spark.sqlContext
       |import org.apache.spark.SparkContext._
       |import spark.implicits._
       |import spark.sql
       |import org.apache.spark.sql.functions._""".stripMargin
}
