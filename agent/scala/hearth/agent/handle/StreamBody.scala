package hearth.agent.handle

import java.util.concurrent.{ArrayBlockingQueue, ExecutionException, TimeUnit}

import scala.collection.mutable
import scala.concurrent.Await
import scala.concurrent.duration.Duration

import org.apache.spark.FutureAction
import org.apache.spark.hearth.Chunks
import org.apache.spark.rdd.RDD

/** The bytes of a stream: made partition by partition on one thread, taken on another. The driver never holds more than a few chunks of
  * them at once, and the executors no more than a few partitions, on disk.
  *
  * @param over whether nobody takes any more
  */
private[handle] final class StreamBody(source: Formatted, over: () => Boolean) extends java.lang.Iterable[Array[Byte]] {
  import StreamBody._

  private val parts: RDD[Array[Byte]] = source.parts
  private val queue = new ArrayBlockingQueue[Part](waiting)
  private val ahead = mutable.Queue.empty[Ahead]
  private var next = 0

  /** Begins, and waits for the first partition that has something, so that what fails at once fails here.
    *
    * @throws Exception what made a job fail
    */
  def begin(): Unit = {
    advance()
    first = take()
  }

  private var first: Option[Ahead] = None

  /** The partition that is being sent. */
  private var current: Option[Ahead] = None

  /** Makes all of it; returns when the last part is there to be taken, or nobody takes any more. */
  def produce(): Unit = {
    var isWhole = false
    try {
      give(Bytes(source.head))
      var found = first
      first = None
      while (found.isDefined && !over()) {
        send(found.get)
        found = take()
      }
      give(Bytes(source.tail))
      isWhole = give(End)
    } finally if (!isWhole) {
      // Whoever still takes it learns that no more will come.
      queue.clear()
      queue.offer(BrokenOff)
    }
  }

  /** Computes no more, and leaves nothing behind. */
  def close(): Unit = {
    ahead.foreach { partition =>
      partition.job.cancel()
      Chunks.freeAlsoLater(parts.sparkContext, partition.id)
    }
    current.foreach(partition => Chunks.free(parts.sparkContext, partition.id))
  }

  /** Takes it; once. */
  override def iterator: java.util.Iterator[Array[Byte]] = new java.util.Iterator[Array[Byte]] {
    private var part: Part = _

    override def hasNext: Boolean = {
      if (part == null) part = queue.take()
      part match {
        case BrokenOff => throw new java.io.UncheckedIOException(new java.io.IOException("the stream broke off"))
        case End       => false
        case _         => true
      }
    }

    override def next(): Array[Byte] = part match {
      case Bytes(bytes) if bytes != null =>
        part = null
        bytes
      case _ => throw new NoSuchElementException
    }
  }

  /** Returns whether it will be taken. */
  private def give(part: Part): Boolean = part match {
    case Bytes(none) if none.isEmpty => true
    case _ =>
      var isGiven = false
      while (!isGiven && !over()) isGiven = queue.offer(part, waitMillis, TimeUnit.MILLISECONDS)
      isGiven
  }

  private def send(partition: Ahead): Unit = {
    val made = partition.made.get
    if (made.isWhole) give(Bytes(made.whole))
    else {
      var block = made.first
      while (block < made.first + made.count && give(Bytes(Chunks.read(partition.id, block)))) {
        Chunks.drop(partition.id, block)
        block += 1
      }
      Chunks.free(parts.sparkContext, partition.id)
    }
  }

  /** The next partition, and a job for one more; None after the last. */
  private def take(): Option[Ahead] = {
    current = None
    if (ahead.isEmpty) None
    else {
      try Await.result(ahead.head.job, Duration.Inf)
      catch { case failed: ExecutionException => throw failed.getCause }
      current = Some(ahead.dequeue())
      advance()
      current
    }
  }

  private def advance(): Unit = while (ahead.size < window && next < parts.getNumPartitions) {
    val partition = new Ahead(Chunks.id(parts.sparkContext))
    partition.job = parts.sparkContext.submitJob[Array[Byte], Chunks.Made, Unit](
      parts, Chunks.making(partition.id), Seq(next), (_, made) => partition.made = Some(made), ())
    ahead.enqueue(partition)
    next += 1
  }
}

private object StreamBody {
  private sealed trait Part
  private final case class Bytes(bytes: Array[Byte]) extends Part
  private case object BrokenOff extends Part
  private case object End extends Part

  /** A partition that is computed, and then waits to be sent. */
  private final class Ahead(val id: Int) {
    var job: FutureAction[Unit] = _
    @volatile var made = Option.empty[Chunks.Made]
  }

  /** Partitions that are computed at the same time, or wait to be sent. */
  private val window = 2

  /** Chunks that have been fetched and wait to be taken. */
  private val waiting = 4
  private val waitMillis = 200L
}
