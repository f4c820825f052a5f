package hearth.agent.handle

import com.fasterxml.jackson.databind.JsonNode
import com.fasterxml.jackson.databind.node.ObjectNode

import hearth.agent.{Column, Json}
import org.apache.spark.storage.RDDInfo

/** A handle in the words of the link. */
private[agent] object Described {

  /** The body of `handle`. */
  def version(handle: Handle, state: String, reason: Option[String]): ObjectNode = {
    val made = Json.obj().put("name", handle.name).put("kind", handle.kind).put("version", handle.version)
    made.put("state", state).put("reason", reason.orNull)
    made.set[JsonNode]("columns", handle.columns.fold[JsonNode](Json.text(null))(columns))
    made.put("key", handle.key.orNull)
    made.put("partitions", handle.opened.fold(0)(_.partitions))
    made.put("storage", handle.options.storage)
    handle.options.ttlMillis.fold(made.putNull("ttl_ms"))(millis => made.put("ttl_ms", millis))
    handle.claim.id.foreach(made.put("share", _))
    made.putNull("durable")
    handle.written.foreach(written => made.putObject("durable").put("path", written.path).put("version", written.version))
    made
  }

  /** One of `handle_usage`. */
  def usage(handle: Handle, stored: Map[Int, RDDInfo]): ObjectNode = {
    val info = handle.opened.flatMap(_.storedIn).flatMap(stored.get)
    val own = handle.opened.fold(0L)(_.driverBytes)
    Json.obj().put("name", handle.name).put("version", handle.version)
      .put("memory_bytes", own + info.fold(0L)(_.memSize)).put("disk_bytes", info.fold(0L)(_.diskSize))
      .put("cached_fraction", info.fold(0.0)(i => if (i.numPartitions == 0) 0.0 else i.numCachedPartitions.toDouble / i.numPartitions))
      .put("last_used_at", handle.lastUsed)
  }

  /** All that a session is told of a handle. */
  def apply(handle: Handle, stored: Map[Int, RDDInfo]): ObjectNode = {
    val made = version(handle, "ready", None)
    made.setAll[ObjectNode](usage(handle, stored))
    made
  }

  def columns(list: Seq[Column]): JsonNode = {
    val made = Json.array()
    list.foreach(c => made.addObject().put("name", c.name).put("type", c.typed).put("class", c.category))
    made
  }
}
