package hearth.agent

import java.util.UUID

import hearth.agent.link.Envelope

/** A run of the agent without a gateway, which does what first sessions do and ends. The JVM may make a class data archive of it
  * (`-XX:ArchiveClassesAtExit`), with which a driver starts in half the time.
  *
  * Started like the agent, with the same keys; nothing needs to listen at `spark.hearth.gateways`.
  */
object Rehearsal {
  private val longestMillis = 180000L

  private val statements = Seq(
    "spark" -> "val numbers = Seq((1, \"a\"), (2, \"b\")).toDF(\"n\", \"s\")\nnumbers.show()\nsc.parallelize(1 to 3).map(_ + 1).sum()",
    "spark" -> "%table numbers",
    "spark" -> "nosuch",
    "sql" -> "select s, count(*) as c from values (1, 'a'), (2, 'b') as t(n, s) group by s order by s",
    "pyspark" -> "spark.range(3).collect()")

  def main(arguments: Array[String]): Unit = {
    val application = Agent.start()
    val session = Some(UUID.randomUUID.toString)
    val kinds = Json.obj().put("number", 1).put("kind", "spark").put("max_rows", 10).put("max_output", 100000)
    application.take(Envelope(1, 0, session, None, "open_session", kinds))
    statements.zipWithIndex.foreach { case ((kind, code), number) =>
      application.take(Envelope(number + 2L, 0, session, Some(number), "run", Json.obj().put("kind", kind).put("code", code)))
    }
    application.awaitQuiet(longestMillis)
    application.take(Envelope(99, 0, None, None, "shutdown", Json.obj().put("reason", "rehearsed")))
    Thread.currentThread.join()
  }
}
