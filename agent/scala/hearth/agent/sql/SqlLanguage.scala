package hearth.agent.sql

import hearth.agent.{Interpreter, Language, Preload, Prepared, Settings, Workspace}
import org.apache.spark.sql.catalyst.parser.CatalystSqlParser

/** Spark SQL. */
object SqlLanguage extends Language {
  override def kind: String = "sql"

  /** Loads the parser, which takes a second when it is cold. */
  override def prepare(settings: Settings): Prepared = {
    Preload.await()
    CatalystSqlParser.parsePlan("select a + 1 as b, 'c' from values (1) as t(a) where a > 0 group by a order by b limit 1")
    new Prepared {
      override def open(workspace: Workspace): Interpreter = new SqlInterpreter(workspace.spark)
      override def close(): Unit = ()
    }
  }
}
