package hearth.agent

import java.nio.file.Files

import hearth.agent.repl.Registry
import hearth.agent.ui.UiKey
import org.apache.spark.{SparkConf, SparkContext}
import org.apache.spark.sql.SparkSession

/** Main class of the driver: dials the gateway, starts Spark and warms the interpreters, all three at once. */
object Agent {
  def main(arguments: Array[String]): Unit = {
    val settings = Settings.take()
    UiKey.derive(settings.token)
    RoutedStream.install()
    val application = new Application(settings)
    application.watchExit()
    application.link.start()
    Preload.start()
    settings.warm.foreach(kind => application.spares.prepare(kind))
    try application.ready(startSpark(settings))
    catch { case failure: Throwable => application.failed(failure) }
    // The application ends the JVM; spark-submit must not see this method return before.
    Thread.currentThread.join()
  }

  private def startSpark(settings: Settings): SparkSession = {
    val classes = Files.createDirectories(settings.scratch.resolve("classes"))
    val conf = new SparkConf()
      .set("spark.repl.class.outputDir", classes.toString)
      // A Dataset of a session must find the session's own REPL classes, not those of an artifact directory.
      .set("spark.sql.artifact.isolation.enabled", "false")
      .setIfMissing("spark.scheduler.mode", "FAIR")
    // Local executors and result threads take this as their parent, and so see the classes of every Scala session.
    Thread.currentThread.setContextClassLoader(Registry.install(Thread.currentThread.getContextClassLoader))
    SparkContext.getOrCreate(conf)
    Preload.await()
    SparkSession.builder().getOrCreate()
  }
}
