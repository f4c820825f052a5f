package hearth.agent.handle

import scala.collection.JavaConverters._
import scala.util.Try

import com.fasterxml.jackson.databind.JsonNode

import org.apache.hadoop.fs.Path
import org.apache.spark.sql.SparkSession

/** Durable handles of earlier applications, as the gateway names them: opened when they are first used. */
private[handle] object Earlier {

  /** @param node one of the `durable` of `handles` */
  def handle(node: JsonNode, handles: Handles, news: Handles.News): Handle = {
    val columns = node.path("columns").elements.asScala.map(column => (column.path("name").asText, column.path("type").asText)).toSeq
    // Not every type can be read as it is shown, names with signs in them, and too many columns are not kept: such a handle is in SQL once it
    // has been opened.
    val schema = if (node.path("columns").isArray) Try(Handle.schema(columns)).toOption else None
    val known = Handle.Known(node.path("kind").asText, schema, Option(node.path("key").asText(null)))
    val ttl = number(node, "ttl_ms")
    val options = Options(node.path("storage").asText(Namespace.usual), force = false, ttl, durable = true)
    def origin(handle: Handle) = new Folder(node.path("path").asText, handle, known, handles, news)
    val claim = Claim(Option(node.path("owner").asText(null)), Option(node.path("share").asText(null)))
    new Handle(node.path("name").asText, Maker.outside, options, claim, node.path("version").asLong(1), known, Left(origin))
  }

  /** What is left of its time to live, if the gateway says so. */
  def left(node: JsonNode): Option[Long] = number(node, "left_ms")

  private def number(node: JsonNode, field: String): Option[Long] = Some(node.path(field)).filter(_.isIntegralNumber).map(_.asLong)

  private final class Folder(override val path: String, handle: Handle, known: Handle.Known, handles: Handles, news: Handles.News)
      extends Origin {

    /** Whether the gateway was told that it is lost. */
    @volatile private var isLost = false

    override def begin(work: () => Unit): Unit =
      if (!handles.work.open(s"opening of ${handle.name}")(work()))
        throw HandleException.failed(s"too many handles are being opened already: try ${handle.name} again soon")

    override def read(): Handle.Data = {
      val root = handles.root
      // Neither conf nor views of the session that happens to be the first.
      SparkSession.setActiveSession(root)
      try Store.open(path, known, handle.options.level, handles)
      catch { case failure: Exception => throw if (isThere(root)) failure else lost(failure) }
    }

    override def opened(): Unit = {
      if (known.schema.isEmpty) handles.show(handle)
      if (isLost) handles.whileCurrent(handle) {
        isLost = false
        news.version(handle)
      }
    }

    /** Where the store does not answer, it may be there. */
    private def isThere(root: SparkSession): Boolean = Try {
      val folder = new Path(path)
      folder.getFileSystem(root.sparkContext.hadoopConfiguration).exists(folder)
    }.getOrElse(true)

    private def lost(failure: Exception): HandleException = {
      val why = s"what was written at $path is no more: ${failure.getMessage}".take(longestReason)
      if (!isLost) handles.whileCurrent(handle)(news.lost(handle, why))
      isLost = true
      HandleException.lost(handle.name, why)
    }
  }

  /** Characters of a reason. */
  private val longestReason = 2000
}
