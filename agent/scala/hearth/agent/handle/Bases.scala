package hearth.agent.handle

import java.util.UUID

import org.apache.hadoop.fs.Path
import org.apache.spark.SparkContext
import org.apache.spark.hearth.WrittenRdds
import org.apache.spark.rdd.RDD

/** An index of which later ones are made anew, and who needs what is written of it. */
private[handle] final class Base(val index: RDD[PairIndex.Index], val kept: Kept)

/** Writes indexes whole, so that what was merged into them is needed no longer. They are written where they outlive an executor: to the handle
  * store; else to the checkpoint folder, where user code has set one; else, where all of Spark is this JVM, to its own disk.
  */
private[handle] final class Bases(store: () => Option[Store], work: Work) {

  /** The index as it is written; None where there is no place for it. */
  def write(index: RDD[PairIndex.Index]): Option[Base] = {
    val context = index.sparkContext
    place(context).map { path =>
      val kept = new Kept(() => forget(context, path))
      try new Base(WrittenRdds.write(index, path), kept)
      catch {
        case failure: Throwable =>
          kept.leave()
          throw failure
      }
    }
  }

  private def place(context: SparkContext): Option[String] =
    store().map(_.folder())
      .orElse(context.getCheckpointDir.map(folder => s"${folder.stripSuffix("/")}/hearth-${UUID.randomUUID}"))
      .orElse(if (context.isLocal) Some(WrittenRdds.localFolder(context)) else None)

  private def forget(context: SparkContext, path: String): Unit = {
    work.inBackground(s"deletion of $path") {
      val folder = new Path(path)
      folder.getFileSystem(context.hadoopConfiguration).delete(folder, true)
    }
    store().foreach(_.leave(path))
  }
}
