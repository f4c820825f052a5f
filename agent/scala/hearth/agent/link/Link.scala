package hearth.agent.link

import java.net.URI
import java.net.http.{HttpClient, WebSocket, WebSocketHandshakeException}
import java.time.Duration
import java.util.concurrent.{ExecutionException, LinkedBlockingQueue, ThreadFactory, ThreadLocalRandom, ThreadPoolExecutor, TimeUnit, TimeoutException}
import java.util.concurrent.atomic.AtomicInteger

import com.fasterxml.jackson.databind.JsonNode
import com.fasterxml.jackson.databind.node.ObjectNode
import hearth.agent.{Json, Settings}

/** The agent's line to whichever gateway answers: dialled again when lost, resumed where it broke off.
  *
  * One thread, `hearth-link`, dials and watches; frames are sent on the threads that write them.
  */
final class Link(settings: Settings, owner: Link.Owner) {
  import Link._

  private val outbox = new Outbox(memoryLimit, diskLimit, settings.scratch)
  private val client: HttpClient = {
    val numbers = new AtomicInteger
    val named: ThreadFactory = work => {
      val made = new Thread(work, s"hearth-link-io-${numbers.incrementAndGet()}")
      made.setDaemon(true)
      made
    }
    val threads = new ThreadPoolExecutor(2, 2, 0, TimeUnit.SECONDS, new LinkedBlockingQueue[Runnable], named)
    // Started now, so that they inherit nothing from a session's thread.
    threads.prestartAllCoreThreads()
    Pinned.known(HttpClient.newBuilder(), settings).connectTimeout(Duration.ofMillis(dialMillis)).executor(threads).build()
  }

  @volatile private var current: Option[Connection] = None
  @volatile private var deadMillis = 1500L
  @volatile private var orphanMillis = 300000L
  @volatile private var stopped = false
  @volatile private var dialled: Option[String] = None

  /** Base address of the gateway that holds the link, if one does. */
  def gateway: Option[String] = if (current.isDefined) dialled else None

  def start(): Unit = {
    val thread = new Thread(() => keep(), "hearth-link")
    thread.setDaemon(true)
    thread.start()
  }

  /** Sends a numbered message, waiting when too much is unacknowledged. */
  def send(tag: String, session: Option[String], statement: Option[Int], body: JsonNode): Unit = {
    outbox.append(Envelope.rest(session, statement, tag, body))
    current.foreach(_.pump())
  }

  /** Sends it only if it fits without waiting; returns whether it did. */
  def offer(tag: String, session: Option[String], statement: Option[Int], body: JsonNode): Boolean = {
    val taken = outbox.offer(Envelope.rest(session, statement, tag, body))
    if (taken) current.foreach(_.pump())
    taken
  }

  /** Sends it without ever waiting; for small messages of threads that must not. */
  def force(tag: String, session: Option[String], statement: Option[Int], body: JsonNode): Unit = {
    outbox.force(Envelope.rest(session, statement, tag, body))
    current.foreach(_.pump())
  }

  /** Does something, which must not block, once the gateway has acknowledged all that has been sent so far. */
  def settled(work: () => Unit): Unit = outbox.afterwards(work)

  /** Waits until the gateway has everything, at most `millis`; returns whether it has. */
  def drained(millis: Long): Boolean = outbox.drained(millis)

  def stop(): Unit = {
    stopped = true
    current.foreach(_.end(Connection.Lost("stopping")))
    outbox.close()
  }

  private def keep(): Unit = {
    var address = 0
    var failures = 0
    var alone = System.nanoTime
    while (!stopped) {
      val base = settings.gateways(address % settings.gateways.size)
      val connection = new Connection(outbox, taken)
      dialled = Some(base)
      val end = dial(base, connection).getOrElse(watch(connection))
      current = None
      if (connection.epoch.isDefined) {
        failures = 0
        alone = System.nanoTime
      }
      end match {
        case refused: Connection.Refused => leave(refused.reason)
        case Connection.Lost(reason) if !stopped =>
          if (failures == 0) System.err.println(s"hearth: no link to $base: $reason")
          if (millisSince(alone) > orphanMillis) leave(s"no gateway could be reached for ${orphanMillis / 1000} s")
          address += 1
          pause(failures)
          failures += 1
        case _ =>
      }
    }
  }

  /** Opens the connection; returns why it could not be, if so. */
  private def dial(base: String, connection: Connection): Option[Connection.End] =
    try {
      val target = URI.create(base.replaceFirst("^http", "ws") + "/driver/link")
      val socket = client.newWebSocketBuilder()
        .header("Authorization", "Bearer " + settings.token)
        .header("X-Hearth-Application", settings.application)
        .connectTimeout(Duration.ofMillis(dialMillis))
        .buildAsync(target, connection)
        .get(2 * dialMillis, TimeUnit.MILLISECONDS)
      connection.lastReceived = System.nanoTime
      connection.say("hello", hello())
      connection.open(socket)
      None
    } catch {
      case _: TimeoutException => Some(Connection.Lost("no answer"))
      case failed: ExecutionException =>
        failed.getCause match {
          case answered: WebSocketHandshakeException if refusals(answered.getResponse.statusCode) =>
            Some(Connection.Refused(answered.getResponse.statusCode, "at the handshake"))
          case cause => Some(Connection.Lost(String.valueOf(cause)))
        }
    }

  private def hello(): ObjectNode = {
    val body = owner.hello()
    body.put("protocol", protocol)
    body.put("application", settings.application)
    body.put("first", outbox.first)
    body
  }

  /** Pings and waits until the connection has ended. */
  private def watch(connection: Connection): Connection.End = {
    var planned = System.nanoTime
    while (!connection.ended.isDone) {
      // When this thread itself was held up, by a long collection say, what has come meanwhile may not have been read yet.
      val late = millisSince(planned)
      if (late > pingMillis) connection.lastReceived = System.nanoTime
      val silent = millisSince(connection.lastReceived)
      val quiet = millisSince(connection.lastSent)
      val patience = if (connection.epoch.isDefined) deadMillis else welcomeMillis
      if (silent >= patience) connection.end(Connection.Lost(s"nothing heard for $silent ms"))
      else {
        if (quiet >= pingMillis) connection.say("ping")
        val wait = math.max(math.min(pingMillis, patience - silent), 1)
        planned = System.nanoTime + wait * 1000000
        try connection.ended.get(wait, TimeUnit.MILLISECONDS)
        catch { case _: TimeoutException => () }
      }
    }
    connection.ended.get
  }

  /** Takes one envelope of the gateway; runs on the client's threads, one call at a time for each connection. */
  private def taken(connection: Connection, envelope: Envelope): Unit = envelope.tag match {
    case "welcome" =>
      deadMillis = envelope.body.path("dead_ms").asLong(deadMillis)
      orphanMillis = envelope.body.path("orphan_ms").asLong(orphanMillis)
      val acked = envelope.body.path("acked").asLong(0)
      outbox.acknowledged(acked)
      current = Some(connection)
      connection.welcome(envelope.body.path("epoch").asLong(envelope.epoch), acked)
    case "ack"           => outbox.acknowledged(envelope.body.path("seq").asLong(0))
    case "ping"          => connection.say("pong")
    case "pong"          => ()
    case _ if envelope.seq > 0 =>
      if (connection.epoch.contains(envelope.epoch)) {
        owner.take(envelope)
        connection.handledUpTo(envelope.seq)
        connection.pump()
      } else System.err.println(s"hearth: dropped a message of epoch ${envelope.epoch}")
    case other => System.err.println(s"hearth: the gateway sent an unknown control message, ${other.take(40)}")
  }

  private def leave(reason: String): Unit = {
    stopped = true
    owner.abandoned(reason)
  }

  private def pause(failures: Int): Unit = {
    val longest = math.min(2000L, 50L << math.min(failures, 6))
    Thread.sleep(ThreadLocalRandom.current.nextLong(longest / 2, longest + 1))
  }
}

object Link {

  /** Whom a link belongs to. */
  trait Owner {

    /** The body of the next `hello`, without the parts that the link knows itself. */
    def hello(): ObjectNode

    /** Takes a numbered message; must not block. It may be a repeat. */
    def take(envelope: Envelope): Unit

    /** There will be no link any more; called once. */
    def abandoned(reason: String): Unit
  }

  private val protocol = 1
  private val memoryLimit = 8L * 1024 * 1024
  private val diskLimit = 256L * 1024 * 1024
  private val dialMillis = 3000L
  private val welcomeMillis = 10000L
  private val pingMillis = 500L

  /** HTTP statuses that no later dial would change. */
  private val refusals = Set(401, 403, 410)

  private def millisSince(nanos: Long): Long = (System.nanoTime - nanos) / 1000000
}
