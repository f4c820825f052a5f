package hearth.agent.handle

import java.util.UUID
import java.util.concurrent.{ScheduledExecutorService, TimeUnit}

import scala.collection.mutable
import scala.util.control.NonFatal

import hearth.agent.Log
import org.apache.hadoop.fs.{FileSystem, Path}
import org.apache.spark.sql.SparkSession
import org.apache.spark.storage.StorageLevel

/** Where durable handles are written, as Parquet: a folder for each handle, in it one for each version that was written.
  *
  * @param base address of a folder of any file system that Spark can write
  */
private[handle] final class Store(base: String, work: Work, spark: () => SparkSession, timer: ScheduledExecutorService) {
  private lazy val writer = Durable.writer(spark())
  private val due = mutable.HashSet.empty[Handle]

  /** Folders that this application has written or reads, or will. */
  private val ours = mutable.HashSet.empty[String]

  /** Writes a version whole and returns where. */
  def write(name: String, content: Content): String = {
    val path = s"${base.stripSuffix("/")}/$name/${UUID.randomUUID}"
    if (content.kind == "value")
      throw HandleException.badValue("a value cannot be durable: share it as a DataFrame, or make it anew in the next application")
    ours.synchronized(ours.add(path))
    HandleException.unwrapped(Durable.table(content, writer).write.parquet(path))
    path
  }

  /** Writes the newest version soon, and tells of it; puts that come meanwhile are in it. What fails is tried again as long as the
    * handle is there. The folder of the one before it goes, unless the handle's data can be made anew of that alone.
    */
  def later(handle: Handle, handles: Handles, news: Handles.News): Unit =
    if (due.synchronized(due.add(handle))) work.inBackground(s"writing of ${handle.name}") {
      due.synchronized(due.remove(handle))
      try now(handle, handles, news)
      catch {
        case NonFatal(failure) if handles.whileCurrent(handle)(()) =>
          Log.warn(s"handle ${handle.name} could not be written, and will be again in ${Store.pauseMillis / 1000} s: ${failure.getMessage}")
          timer.schedule((() => later(handle, handles, news)): Runnable, Store.pauseMillis, TimeUnit.MILLISECONDS)
      }
    }

  private def now(handle: Handle, handles: Handles, news: Handles.News): Unit = {
    val old = handle.written.map(_.path)
    val made = handle.reading(version => Written(write(handle.name, version.content), version.number))
    val told = handles.whileCurrent(handle)(if (handle.wrote(made)) news.version(handle))
    if (told) news.settled(forget(old.toSet -- handle.origin))
    else forget(Set(made.path))
  }

  /** What handles of this application are read from stays until [[forget]], whatever the catalogue names by then. */
  def keep(path: String): Unit = ours.synchronized(ours.add(path))

  /** A new folder for what is of use to this application alone; it is the caller's to delete. */
  def folder(): String = {
    val path = s"${base.stripSuffix("/")}/${Store.indexes}/${UUID.randomUUID}"
    keep(path)
    path
  }

  /** It is there no longer, or may be swept away. */
  def leave(path: String): Unit = ours.synchronized(ours.remove(path))

  /** Deletes folders of versions that nobody needs any more, some time. */
  def forget(paths: Set[String]): Unit =
    if (paths.nonEmpty) work.inBackground(s"deletion of ${paths.mkString(", ")}")(paths.foreach { path =>
      remove(new Path(path))
      ours.synchronized(ours.remove(path))
    })

  /** Deletes, some time, what earlier applications have left and no handle of the catalogue names any longer. */
  def sweep(named: Set[String]): Unit = work.inBackground("sweep of the handle store") {
    val root = new Path(base)
    val files = filesOf(root)
    for {
      handle <- if (files.exists(root)) files.listStatus(root).toSeq else Nil
      version <- if (handle.isDirectory) files.listStatus(handle.getPath).toSeq else Nil
      path = s"${base.stripSuffix("/")}/${handle.getPath.getName}/${version.getPath.getName}"
      if version.isDirectory && !named(path) && !ours.synchronized(ours(path))
    } remove(version.getPath)
  }

  private def remove(folder: Path): Unit = filesOf(folder).delete(folder, true)

  private def filesOf(path: Path): FileSystem = path.getFileSystem(spark().sparkContext.hadoopConfiguration)
}

private[handle] object Store {
  private val pauseMillis = 30000L

  /** No handle can have this name. */
  private val indexes = "merged-indexes"

  /** What was written, opened again. */
  def open(path: String, known: Handle.Known, level: StorageLevel, handles: Handles): Handle.Data = {
    val rows = handles.root.read.parquet(path)
    known.kind match {
      case "pairs" =>
        val key = known.key
        Right(new Pairs(PairIndex.of(Durable.entries(rows), key), key, Durable.columns(rows), level, handles.merges))
      case "rdd" =>
        val elements = Durable.elements(rows)
        Left(new RddContent(elements, false, Some(Durable.columns(rows)), handles.caches.rdd(elements, level)))
      case _ => Left(new FrameContent(rows, opened = true, handles.caches.frame(rows, level)))
    }
  }
}
