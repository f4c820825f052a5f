package hearth.agent.python

import java.io.{FileOutputStream, PrintStream}
import java.nio.file.{Files, Paths}
import java.util.concurrent.{ConcurrentHashMap, Executors, ExecutorService}

import scala.collection.JavaConverters._
import scala.io.Source

import com.fasterxml.jackson.databind.JsonNode
import org.apache.spark.SparkContext
import org.apache.spark.hearth.SparkInternals
import org.apache.spark.sql.SparkSession

import hearth.agent.{Interpreter, Json, Languages, Outcome, RoutedStream, Running, Settings, Workspace}
import hearth.agent.handle.{Addresses, HandleDriver}
import hearth.agent.repl.Registry

/** A driver for tests: interpreters on a real Spark, told what to do by lines of JSON. Stands in for the agent's sessions.
  * What it answers goes to a file descriptor of its own: the virtual machine warns on standard output when it likes. */
object PythonDriver {
  private final class Session(val interpreter: Interpreter, val spark: SparkSession, val thread: ExecutorService) {
    @volatile var running: Option[Running] = None
  }

  private final class Place(val number: Int, val spark: SparkSession, val settings: Settings) extends Workspace {
    def session: String = s"session-$number"
    def livyId: Option[Int] = Some(100 + number)
  }

  private var out: PrintStream = null
  private val sessions = new ConcurrentHashMap[Int, Session]

  private def answer(kind: String, fields: (String, Any)*): Unit = synchronized {
    val line = Json.obj().put("type", kind)
    fields.foreach {
      case (name, value: Int) => line.put(name, value)
      case (name, value: Long) => line.put(name, value)
      case (name, value: JsonNode) => line.set[JsonNode](name, value)
      case (name, value) => line.put(name, String.valueOf(value))
    }
    out.println(Json.write(line))
  }

  def main(args: Array[String]): Unit = {
    out = new PrintStream(new FileOutputStream(s"/dev/fd/${args(2)}"), true, "UTF-8")
    RoutedStream.install()
    val begun = System.nanoTime
    def since = (System.nanoTime - begun) / 1000000
    val settings = new Settings(Nil, None, "", "", Paths.get(args(0)), Nil, Paths.get(args(1)))
    var spare = Option(PythonLanguage.prepare(settings))
    Files.createDirectories(settings.scratch.resolve("classes"))
    Thread.currentThread.setContextClassLoader(Registry.install(Thread.currentThread.getContextClassLoader))
    val timer = Executors.newScheduledThreadPool(1)
    var root: SparkSession = null
    val handles = new HandleDriver(() => root, timer, args.lift(3), (kind, fields) => answer(kind, fields: _*))
    root = SparkSession.builder.getOrCreate()
    handles.started(root)
    val context = root.sparkContext
    answer("context", "ms" -> since)
    Source.stdin.getLines().map(Json.parse).foreach { command =>
      val number = command.path("session").asInt
      command.path("type").asText match {
        case "open" =>
          val start = System.nanoTime
          val kind = command.path("kind").asText("pyspark")
          val prepared =
            if (kind == "pyspark" && spare.isDefined) spare.get
            else Languages.of(kind).get.prepare(settings)
          if (kind == "pyspark") spare = None
          val session = root.newSession()
          val place = new Place(number, session, settings)
          Addresses.add(Seq(place.session, s"named $number") ++ place.livyId.map(_.toString))
          val interpreter = prepared.open(place)
          sessions.put(number, new Session(interpreter, session, Executors.newSingleThreadExecutor()))
          answer("open", "session" -> number, "ms" -> (System.nanoTime - start) / 1000000)
        case "run" => run(context, sessions.get(number), command)
        case "cancel" =>
          val session = sessions.get(number)
          session.running.foreach { statement =>
            statement.cancelled = true
            context.cancelJobGroup(statement.group)
            session.interpreter.cancel(statement)
          }
        case "complete" =>
          val found = sessions.get(number).interpreter.complete(command.path("code").asText, command.path("cursor").asInt)
          answer("completion", "candidates" -> Json.texts(found))
        case "handles" => handles.take(command)
        case "default" =>
          answer("default", "root" -> (SparkSession.getDefaultSession.exists(_ eq root)).toString)
        case "close" =>
          val session = sessions.remove(number)
          session.interpreter.close()
          session.thread.shutdown()
          answer("closed", "session" -> number)
      }
    }
    sessions.values.asScala.foreach { session =>
      session.interpreter.close()
      session.thread.shutdown()
    }
    spare.foreach(_.close())
    timer.shutdownNow()
    root.stop()
  }

  private def run(context: SparkContext, session: Session, command: JsonNode): Unit = {
    val number = command.path("session").asInt
    val id = command.path("id").asInt
    val statement = new Running(id, command.path("code").asText, s"hearth-$number-$id", command.path("max_rows").asInt,
      command.path("max_output").asInt, new Running.Output {
        def write(stream: String, text: String): Unit =
          answer("output", "session" -> number, "id" -> id, "stream" -> stream, "text" -> text)
      })
    session.thread.execute { () =>
      SparkSession.setActiveSession(session.spark)
      session.running = Some(statement)
      context.setJobGroup(statement.group, s"statement $id", interruptOnCancel = true)
      val begun = System.nanoTime
      val output = try session.interpreter.run(statement) match {
        case Outcome.Ok(data, columns, truncated) =>
          val bundle = Json.obj()
          data.foreach { case (mime, value) => bundle.set[JsonNode](mime, value) }
          val made = Json.obj().put("status", "ok").set[com.fasterxml.jackson.databind.node.ObjectNode]("data", bundle)
          made.put("columns", columns.map(_.map(c => s"${c.name} ${c.typed} ${c.category}").mkString(", ")).orNull)
          made.put("truncated", truncated.map(_.toString).orNull)
        case Outcome.Failed(ename, evalue, traceback) =>
          Json.obj().put("status", "error").put("ename", ename).put("evalue", evalue)
            .set[com.fasterxml.jackson.databind.node.ObjectNode]("traceback", Json.texts(traceback))
      } catch { case fault: Throwable => Json.obj().put("status", "fault").put("fault", fault.toString) }
      val us = (System.nanoTime - begun) / 1000
      session.running = None
      answer("done", "session" -> number, "id" -> id, "us" -> us, "output" -> output)
    }
  }
}
