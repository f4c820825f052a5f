package org.apache.spark.hearth

import java.io.ByteArrayOutputStream
import java.nio.ByteBuffer
import java.util.concurrent.{CompletableFuture, TimeUnit}

import org.apache.spark.{SparkContext, SparkEnv, TaskContext}
import org.apache.spark.storage.{RDDBlockId, StorageLevel}
import org.apache.spark.util.io.ChunkedByteBuffer

/** The bytes of a partition on their way to the driver, which never has more of them at once than one chunk, however large the partition is,
  * or a single one of its elements. What is more than a chunk the task leaves on the disk of its executor, as blocks of an RDD that there is
  * not; the driver fetches them one by one.
  */
object Chunks {

  /** What a task tells of its partition.
    *
    * @param whole all of it, where that is no more than a chunk
    * @param first the number of the block that begins it
    * @param count blocks
    */
  final case class Made(whole: Array[Byte], first: Int, count: Int) {
    def isWhole: Boolean = count == 0
  }

  /** Bytes of a chunk: as many as a task's result may have without a way of its own to the driver. */
  val most = 1 << 20

  /** For the blocks of one partition; to be freed. */
  def id(context: SparkContext): Int = context.newRddId()

  /** What a task does with its partition. */
  def making(id: Int): Iterator[Array[Byte]] => Made = make(id, TaskContext.get, _)

  /** Fetches a block.
    *
    * @throws java.io.IOException if it is no more
    */
  def read(id: Int, block: Int): Array[Byte] = {
    val manager = SparkEnv.get.blockManager
    val name = RDDBlockId(id, block)
    val found = manager.getLocalBytes(name) match {
      case Some(here) =>
        try Some(here.toChunkedByteBuffer(ByteBuffer.allocate).toArray)
        finally {
          here.dispose()
          manager.releaseLock(name)
        }
      case None => manager.getRemoteBytes(name).map(far => try far.toArray finally far.dispose())
    }
    found.getOrElse(throw new java.io.IOException("the executor that had the rows was lost while they were sent"))
  }

  /** It has been sent. */
  def drop(id: Int, block: Int): Unit = SparkEnv.get.blockManager.master.removeBlock(RDDBlockId(id, block))

  /** Frees what is left of a partition. */
  def free(context: SparkContext, id: Int): Unit = if (!context.isStopped) context.unpersistRDD(id, blocking = false)

  /** The same for one whose task was stopped; until it notices that it may still leave something. */
  def freeAlsoLater(context: SparkContext, id: Int): Unit = {
    free(context, id)
    CompletableFuture.delayedExecutor(lastSeconds, TimeUnit.SECONDS).execute(() => free(context, id))
  }

  private def make(id: Int, task: TaskContext, parts: Iterator[Array[Byte]]): Made = {
    val pieces = new Pieces(parts)
    val head = pieces.next()
    if (!pieces.hasNext) Made(head, 0, 0)
    else {
      val manager = SparkEnv.get.blockManager
      // Another attempt of the task may be under way elsewhere, and its rows need not come in the same order.
      val first = (task.taskAttemptId % attempts).toInt * mostBlocks
      var count = 0
      def put(piece: Array[Byte]): Unit = {
        task.killTaskIfInterrupted()
        if (count == mostBlocks) throw new java.io.IOException(s"a partition of more than $mostBlocks MiB cannot be sent: repartition it")
        // Nobody but the driver's stream asks for it.
        if (!manager.putBytes(RDDBlockId(id, first + count), new ChunkedByteBuffer(ByteBuffer.wrap(piece)), StorageLevel.DISK_ONLY))
          throw new java.io.IOException("the executor could not keep rows that are to be sent on its disk")
        count += 1
      }
      var isWhole = false
      try {
        put(head)
        pieces.foreach(put)
        task.killTaskIfInterrupted()
        isWhole = true
      } finally if (!isWhole) (0 until count).foreach(at => manager.removeBlock(RDDBlockId(id, first + at)))
      Made(Array.emptyByteArray, first, count)
    }
  }

  /** The same bytes, cut anew: all pieces but the last have the size of a chunk. There is at least one. */
  private final class Pieces(parts: Iterator[Array[Byte]]) extends Iterator[Array[Byte]] {
    private var part = Array.emptyByteArray
    private var at = 0

    override def hasNext: Boolean = {
      while (at == part.length && parts.hasNext) {
        part = parts.next()
        at = 0
      }
      at < part.length
    }

    override def next(): Array[Byte] = {
      val made = new ByteArrayOutputStream
      while (made.size < most && hasNext) {
        val more = math.min(most - made.size, part.length - at)
        made.write(part, at, more)
        at += more
      }
      made.toByteArray
    }
  }

  /** Blocks of a partition, and attempts of which one's blocks are told from another's: together the numbers that there are. */
  private val mostBlocks = 1 << 24
  private val attempts = 1 << 7

  /** How long a task that was stopped may take to notice. */
  private val lastSeconds = 60L
}
