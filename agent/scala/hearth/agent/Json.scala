package hearth.agent

import com.fasterxml.jackson.core.{JsonFactory, JsonFactoryBuilder, StreamReadConstraints}
import com.fasterxml.jackson.core.json.JsonWriteFeature
import com.fasterxml.jackson.databind.{JsonNode, ObjectMapper}
import com.fasterxml.jackson.databind.json.JsonMapper
import com.fasterxml.jackson.databind.node.{ArrayNode, JsonNodeFactory, ObjectNode}
import com.fasterxml.jackson.databind.util.RawValue

/** JSON as the link carries it: ASCII only, so that a lone surrogate survives. */
object Json {

  /** The longest string taken from the gateway, in code units; it bounds code itself. */
  private val longestString = 128 * 1024 * 1024

  /** The deepest nesting and the longest number taken: more than the gateway lets through. */
  private val deepest = 1000
  private val longestNumber = 10000

  val mapper: ObjectMapper = {
    // Names of fields are people's data here: they are not kept for good, nor is one refused for its hash.
    val factory = new JsonFactoryBuilder().configure(JsonFactory.Feature.CANONICALIZE_FIELD_NAMES, false).build()
    factory.setStreamReadConstraints(constraints)
    JsonMapper.builder(factory).enable(JsonWriteFeature.ESCAPE_NON_ASCII).build()
  }

  private def constraints: StreamReadConstraints = {
    val made = StreamReadConstraints.builder().maxStringLength(longestString).maxNestingDepth(deepest).maxNumberLength(longestNumber)
    // Later versions of Jackson bound names too.
    made.getClass.getMethods.find(_.getName == "maxNameLength").foreach(_.invoke(made, Int.box(longestString)))
    made.build()
  }

  private val nodes = JsonNodeFactory.instance

  def obj(): ObjectNode = nodes.objectNode()

  def array(): ArrayNode = nodes.arrayNode()

  def text(value: String): JsonNode = if (value == null) nodes.nullNode() else nodes.textNode(value)

  def texts(values: Seq[String]): ArrayNode = {
    val made = array()
    values.foreach(made.add(_: String))
    made
  }

  /** JSON that is already written; it goes out as it stands. */
  def raw(json: String): JsonNode = nodes.rawValueNode(new RawValue(json))

  def write(node: JsonNode): String = mapper.writeValueAsString(node)

  /** @throws com.fasterxml.jackson.core.JsonProcessingException if it is not JSON */
  def parse(json: String): JsonNode = mapper.readTree(json)
}
