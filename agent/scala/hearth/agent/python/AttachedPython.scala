package hearth.agent.python

import java.io.IOException

import scala.util.control.NonFatal

import com.fasterxml.jackson.databind.node.ObjectNode
import org.apache.spark.SparkConf
import org.apache.spark.hearth.SparkInternals

import hearth.agent.Workspace

/** A Python process and the Py4J server that serves it alone: callbacks and pinned threads are per server.
  *
  * Both start, and PySpark is imported and connected, without waiting for a SparkContext.
  *
  * @throws PythonFailure if there is no such program
  */
private[python] final class AttachedPython(command: PythonCommand, conf: SparkConf) {
  import AttachedPython._
  import PythonProcess._

  val process: PythonProcess =
    try new PythonProcess(command)
    catch { case failure: IOException => throw new PythonFailure(s"Python did not start: ${failure.getMessage}") }
  private val gateway =
    try new SparkInternals.Gateway(conf)
    catch {
      case NonFatal(failure) =>
        process.close()
        throw failure
    }
  try send("attach")(_.put("port", gateway.port).put("secret", gateway.secret))
  catch {
    case failure: PythonFailure =>
      close()
      throw failure
  }

  /** Binds it to a session, whose SparkSession is known to [[PythonSessions]].
    *
    * @throws PythonFailure if it cannot
    */
  def open(workspace: Workspace): Unit = {
    PythonSessions.share(workspace.spark.sparkContext)
    expect("started")
    expect("attached")
    PythonSessions.keepingDefault {
      send("open")(_.put("number", workspace.number))
      expect("ready")
    }
  }

  def close(): Unit = {
    process.close()
    gateway.close()
  }

  private def send(kind: String)(fill: ObjectNode => Unit): Unit =
    try process.send(kind)(fill)
    catch { case _: IOException => throw gone }

  private def expect(kind: String): Unit = process.answer(patience) match {
    case Some(Reply(`kind`, _)) =>
    case Some(Reply("failed", body)) => throw new PythonFailure(body.path("reason").asText)
    case Some(Reply(other, _)) => throw new PythonFailure(s"Python answered $other instead of $kind")
    case Some(Gone) => throw gone
    case None => throw new PythonFailure(s"Python did not say $kind within $patience s")
  }

  private def gone = new PythonFailure(s"Python did not start: ${process.obituary}")
}

private object AttachedPython {

  /** Seconds that a step of the start may take; it bounds a hang, on a machine however busy. */
  val patience = 120L
}

/** Python could not be started, in words for the person who wanted it. */
final class PythonFailure(message: String) extends Exception(message)
