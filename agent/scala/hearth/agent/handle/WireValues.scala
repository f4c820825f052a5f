package hearth.agent.handle

import java.util.Base64

import scala.collection.JavaConverters._

import com.fasterxml.jackson.databind.JsonNode

/** Values as the gateway sends them: JSON, bytes as `{"$binary": base64}`, tuple keys as arrays. */
private[handle] object WireValues {

  /** @throws HandleException `bad_key` */
  def key(node: JsonNode, kind: Option[String]): Any = {
    val given =
      try value(node)
      catch { case wrong: HandleException => throw HandleException.badKey(wrong.getMessage) }
    Keys.of(tupled(given), kind)
  }

  /** @throws HandleException `bad_value` */
  def value(node: JsonNode, depth: Int = 0): Any = {
    if (depth > deepest) throw HandleException.badValue(s"the value is nested more than $deepest levels deep")
    if (node.isNull || node.isMissingNode) null
    else if (node.isTextual) Values.whole(node.asText)
    else if (node.isBoolean) node.asBoolean
    else if (node.isIntegralNumber) { if (node.canConvertToLong) node.asLong else node.bigIntegerValue }
    else if (node.isNumber) node.asDouble
    else if (node.isArray) node.elements.asScala.map(value(_, depth + 1)).toVector
    else if (node.size == 1 && node.path("$binary").isTextual) binary(node.path("$binary").asText)
    else OrderedMap.of(node.fields.asScala.map(entry => Values.whole(entry.getKey) -> value(entry.getValue, depth + 1)))
  }

  private def tupled(value: Any): Any = value match {
    case parts: Vector[_] => Values.tuple(parts.map(tupled))
    case other            => other
  }

  private def binary(text: String): Array[Byte] =
    try Base64.getDecoder.decode(text)
    catch { case _: IllegalArgumentException => throw HandleException.badValue("what stands under $binary is not base64") }

  private val deepest = 100
}
