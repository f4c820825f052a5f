package hearth.agent.link

import java.net.http.WebSocket
import java.util.ArrayDeque
import java.util.concurrent.{CompletableFuture, CompletionStage}
import java.util.function.BiConsumer

import com.fasterxml.jackson.databind.JsonNode
import hearth.agent.Json

/** One WebSocket from dial to loss. Sends one frame after the other on whichever thread finds the line free.
  *
  * @param outbox where numbered frames come from
  * @param taken  called with each whole envelope, one after the other; must not block
  */
private final class Connection(outbox: Outbox, taken: (Connection, Envelope) => Unit) extends WebSocket.Listener {

  /** The longest frame taken, in code units: the longest code and room for its escapes. */
  private val longestFrame = 256 * 1024 * 1024

  /** Completes with the reason once the connection is no more. */
  val ended = new CompletableFuture[Connection.End]

  @volatile var lastReceived: Long = System.nanoTime
  @volatile var lastSent: Long = System.nanoTime

  /** The epoch of this connection's `welcome`, which opens the way for numbered frames. */
  @volatile var epoch: Option[Long] = None

  private val control = new ArrayDeque[String]
  private val incoming = new java.lang.StringBuilder
  private var socket: Option[WebSocket] = None
  private var sending = false
  private var cursor = 0L
  private var handled = 0L
  private var acknowledged = 0L

  /** Sends what is waiting from now on. */
  def open(on: WebSocket): Unit = {
    synchronized { socket = Some(on) }
    pump()
  }

  /** Numbered frames above `acked` may go, under `given`. */
  def welcome(given: Long, acked: Long): Unit = {
    synchronized {
      cursor = math.max(acked, outbox.first - 1)
      epoch = Some(given)
    }
    pump()
  }

  /** Sends a frame without number, before all numbered ones that wait. */
  def say(tag: String, body: JsonNode = Json.obj()): Unit = {
    synchronized(control.add(Envelope.frame(0, epoch.getOrElse(0L), Envelope.rest(None, None, tag, body))))
    pump()
  }

  /** Tells the gateway, soon, that its messages up to `seq` are taken. */
  def handledUpTo(seq: Long): Unit = synchronized { if (seq > handled) handled = seq }

  /** Sends as long as there is something to send and no send is under way. */
  def pump(): Unit = {
    var free = true
    while (free) {
      claim() match {
        case None => free = false
        case Some((line, frame)) =>
          lastSent = System.nanoTime
          val sent =
            try line.sendText(frame, true)
            catch { case lost: Exception => CompletableFuture.failedFuture[WebSocket](lost) }
          if (sent.isDone && !sent.isCompletedExceptionally) release()
          else {
            free = false
            sent.whenComplete(new BiConsumer[WebSocket, Throwable] {
              override def accept(done: WebSocket, failure: Throwable): Unit =
                if (failure == null) { release(); pump() } else end(Connection.Lost("sending failed: " + failure.getMessage))
            })
          }
      }
    }
  }

  /** Ends the connection, with a polite close where that still works. */
  def end(why: Connection.End): Unit = if (ended.complete(why)) {
    val line = synchronized { val had = socket; socket = None; had }
    line.foreach(_.abort())
  }

  /** The next frame to send, if the line is free; it is then taken. */
  private def claim(): Option[(WebSocket, String)] = synchronized {
    socket.filter(_ => !sending && !ended.isDone).flatMap { line =>
      nextFrame().map { frame =>
        sending = true
        (line, frame)
      }
    }
  }

  private def nextFrame(): Option[String] =
    if (!control.isEmpty) Some(control.poll())
    else if (handled > acknowledged) {
      acknowledged = handled
      val body = Json.obj().put("seq", handled)
      Some(Envelope.frame(0, epoch.getOrElse(0L), Envelope.rest(None, None, "ack", body)))
    } else
      epoch.flatMap { given =>
        // Acknowledged meanwhile, over this connection or the one before: nothing to send again.
        cursor = math.max(cursor, outbox.first - 1)
        outbox.get(cursor + 1).map { rest =>
          cursor += 1
          Envelope.frame(cursor, given, rest)
        }
      }

  private def release(): Unit = synchronized { sending = false }

  override def onOpen(on: WebSocket): Unit = on.request(Long.MaxValue)

  override def onText(on: WebSocket, data: CharSequence, last: Boolean): CompletionStage[_] = {
    lastReceived = System.nanoTime
    if (incoming.length + data.length > longestFrame) end(Connection.Lost("the gateway sent a frame that is too long"))
    else {
      incoming.append(data)
      if (last) {
        val frame = incoming.toString
        incoming.setLength(0)
        if (incoming.capacity > 1024 * 1024) incoming.trimToSize()
        try taken(this, Envelope.read(frame))
        catch { case bad: IllegalArgumentException => end(Connection.Lost("the gateway sent " + bad.getMessage)) }
      }
    }
    null
  }

  override def onClose(on: WebSocket, code: Int, reason: String): CompletionStage[_] = {
    end(if (code >= 4001 && code <= 4004) Connection.Refused(code, reason) else Connection.Lost(s"closed with $code $reason"))
    null
  }

  override def onError(on: WebSocket, failure: Throwable): Unit =
    end(Connection.Lost(String.valueOf(failure.getMessage)))
}

private object Connection {

  /** Why a connection is no more. */
  sealed trait End { def reason: String }

  /** The line broke: dial again. */
  final case class Lost(reason: String) extends End

  /** The gateway will never talk to this agent: stop. */
  final case class Refused(code: Int, why: String) extends End {
    def reason: String = s"the gateway refused the link ($code${if (why.isEmpty) "" else ", " + why})"
  }
}
