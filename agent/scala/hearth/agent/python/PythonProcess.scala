package hearth.agent.python

import java.io.{BufferedReader, InputStreamReader, OutputStream}
import java.nio.charset.StandardCharsets.{US_ASCII, UTF_8}
import java.util.concurrent.{LinkedBlockingQueue, TimeUnit}

import scala.collection.mutable

import com.fasterxml.jackson.databind.JsonNode
import com.fasterxml.jackson.databind.node.ObjectNode

import hearth.agent.{Json, Log, Running}

/** One Python process and the pipes to it. Its protocol is described in `python/hearth_runner/__init__.py`. */
private[python] final class PythonProcess(command: PythonCommand) {
  import PythonProcess._

  private val process = command.builder.start()
  private val commands: OutputStream = process.getOutputStream
  private val answers = new LinkedBlockingQueue[Answer]
  private val lastWords = mutable.Queue.empty[String]
  @volatile private var running: Option[Running] = None

  private val log = daemon("hearth-python-log")(readLog())
  daemon("hearth-python")(readReplies())

  /** Whether its end has been seen. */
  @volatile var ended = false

  /** @throws java.io.IOException if the process is gone */
  def send(kind: String)(fill: ObjectNode => Unit): Unit = {
    val message = Json.obj().put("type", kind)
    fill(message)
    val line = (Json.write(message) + "\n").getBytes(US_ASCII)
    commands.synchronized {
      commands.write(line)
      commands.flush()
    }
  }

  /** Sends the statement's output to where it belongs, until the next statement. */
  def attribute(statement: Running): Unit = running = Some(statement)

  /** The next answer, or None when the time is over; [[Gone]] for ever after the process's end. */
  def answer(seconds: Long): Option[Answer] =
    if (ended) Some(Option(answers.poll()).getOrElse(Gone))
    else Option(answers.poll(seconds, TimeUnit.SECONDS))

  /** Waits for an answer however long it takes. */
  def answer(): Answer = if (ended) Option(answers.poll()).getOrElse(Gone) else answers.take()

  /** How it ended, in words. */
  def end: String = {
    process.waitFor(endSeconds, TimeUnit.SECONDS)
    "the Python process " + (if (process.isAlive) "closed its end of the pipe" else ExitValue.describe(process.exitValue))
  }

  /** How it ended, with the last lines that it wrote to its standard error. */
  def obituary: String = {
    val how = end
    log.join(1000)
    val words = lastWords.synchronized(lastWords.mkString("\n"))
    if (words.isEmpty) how else s"$how; its last words:\n$words"
  }

  /** Ends the process and those that it has started. */
  def close(): Unit = {
    val descendants = process.descendants.toArray.map(_.asInstanceOf[ProcessHandle])
    try send("close")(_ => ()) catch { case _: java.io.IOException => }
    try commands.close() catch { case _: java.io.IOException => }
    if (!process.waitFor(grace, TimeUnit.SECONDS)) process.destroyForcibly()
    descendants.foreach(_.destroyForcibly())
  }

  private def readReplies(): Unit = {
    val lines = new BufferedReader(new InputStreamReader(process.getInputStream, US_ASCII), 1 << 16)
    try {
      var line = lines.readLine()
      while (line != null) {
        dispatch(Json.parse(line))
        line = lines.readLine()
      }
    } catch {
      case _: java.io.IOException => // the pipe broke, or what came was not the runner's
    } finally {
      ended = true
      answers.put(Gone)
    }
  }

  private def dispatch(reply: JsonNode): Unit = reply.path("type").asText match {
    case "output" =>
      running.filter(_.number == reply.path("id").asInt).foreach { statement =>
        val text = reply.path("text").asText
        if (reply.path("stream").asText == "stderr") statement.stderr(text) else statement.stdout(text)
      }
    case kind => answers.put(Reply(kind, reply))
  }

  private def readLog(): Unit = {
    val lines = new BufferedReader(new InputStreamReader(process.getErrorStream, UTF_8))
    try {
      var line = lines.readLine()
      while (line != null) {
        Log.info(s"python: $line")
        lastWords.synchronized {
          lastWords.enqueue(line.take(longestWord))
          if (lastWords.size > mostWords) lastWords.dequeue()
        }
        line = lines.readLine()
      }
    } catch {
      case _: java.io.IOException => // ended
    }
  }
}

private[python] object PythonProcess {

  /** What `run`, `attach` and the others wait for. */
  sealed trait Answer
  final case class Reply(kind: String, body: JsonNode) extends Answer
  case object Gone extends Answer

  /** Seconds that the process may take to end by itself when told to, and when its pipe has ended. */
  private val grace = 3L
  private val endSeconds = 5L

  /** Lines of standard error that are kept, and code units of each. */
  private val mostWords = 20
  private val longestWord = 500

  private def daemon(name: String)(action: => Unit): Thread = {
    val thread = new Thread(() => action, name)
    thread.setDaemon(true)
    thread.start()
    thread
  }
}
