package hearth.agent.handle

import java.util.concurrent.{ArrayBlockingQueue, ExecutionException, TimeUnit}

import scala.collection.mutable
import scala.concurrent.Await
import scala.concurrent.duration.Duration

import org.apache.spark.FutureAction
import org.apache.spark.rdd.RDD

/** The bytes of a stream: made partition by partition on one thread, taken on another; never more than a few partitions are there at once.
  *
  * @param over whether nobody takes any more
  */
private[handle] final class StreamBody(source: Formatted, over: () => Boolean) extends java.lang.Iterable[Array[Byte]] {
  import StreamBody._

  private val parts: RDD[Array[Byte]] = source.parts
  private val queue = new ArrayBlockingQueue[Part](16)
  private val ahead = mutable.Queue.empty[(Array[Option[Array[Array[Byte]]]], FutureAction[Unit])]
  private var next = 0

  /** Begins, and waits for the first partition that has something, so that what fails at once fails here.
    *
    * @throws Exception what made a job fail
    */
  def begin(): Unit = {
    advance()
    first = take()
  }

  private var first: Option[Array[Array[Byte]]] = None

  /** Makes all of it; returns when the last part is there to be taken, or nobody takes any more. */
  def produce(): Unit = {
    var isWhole = false
    try {
      give(Bytes(source.head))
      var found = first
      first = None
      while (found.isDefined && !over()) {
        found.get.foreach(bytes => give(Bytes(bytes)))
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

  /** Computes no more. */
  def close(): Unit = ahead.foreach(_._2.cancel())

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

  /** The next partition's parts, and a job for one more partition; None after the last. */
  private def take(): Option[Array[Array[Byte]]] =
    if (ahead.isEmpty) None
    else {
      val (result, job) = ahead.dequeue()
      try Await.result(job, Duration.Inf)
      catch { case failed: ExecutionException => throw failed.getCause }
      advance()
      result(0)
    }

  private def advance(): Unit = while (ahead.size < window && next < parts.getNumPartitions) {
    val result = Array[Option[Array[Array[Byte]]]](None)
    val job = parts.sparkContext.submitJob[Array[Byte], Array[Array[Byte]], Unit](
      parts, (found: Iterator[Array[Byte]]) => found.toArray, Seq(next), (_, made) => result(0) = Some(made), ())
    ahead.enqueue((result, job))
    next += 1
  }
}

private object StreamBody {
  private sealed trait Part
  private final case class Bytes(bytes: Array[Byte]) extends Part
  private case object BrokenOff extends Part
  private case object End extends Part

  /** Partitions that are computed at the same time, or wait to be sent. */
  private val window = 2
  private val waitMillis = 200L
}
