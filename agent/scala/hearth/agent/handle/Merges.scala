package hearth.agent.handle

import java.util.concurrent.ConcurrentHashMap

import scala.collection.JavaConverters._

/** Merges of key-value handles in the background, and the room that changes may take in the driver until then, those of all handles
  * together.
  */
final class Merges(work: Work, private[handle] val bases: Bases) {
  private val changing = ConcurrentHashMap.newKeySet[Pairs]

  /** Bytes that changes may take. */
  val room: Long = math.min(Merges.mostBytes, Runtime.getRuntime.maxMemory / 8)

  /** Bytes that they take, about. */
  def taken: Long = changing.asScala.iterator.map(_.now.content.bytes).sum

  /** It has been put to. */
  def changed(pairs: Pairs): Unit = changing.add(pairs)

  /** Its handle is over. */
  def forget(pairs: Pairs): Unit = changing.remove(pairs)

  /** Merges all that there is to merge, one after the other. */
  def relieve(): Unit = changing.asScala.foreach(_.begin())

  /** Runs a merge soon; returns whether it will. */
  def begin(merge: () => Unit): Boolean = work.merge(merge())
}

private object Merges {
  private val mostBytes = 256L * 1024 * 1024
}
