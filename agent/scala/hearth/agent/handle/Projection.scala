package hearth.agent.handle

import scala.collection.JavaConverters._

import com.fasterxml.jackson.databind.JsonNode

import org.apache.spark.sql.DataFrame
import org.apache.spark.sql.functions.col

/** The columns that are asked for. */
private[handle] object Projection {

  /** @throws HandleException `bad_columns` for one that there is not */
  def of(frame: DataFrame, body: JsonNode): DataFrame =
    if (!body.path("columns").isArray) frame
    else {
      val wanted = body.path("columns").elements.asScala.map(_.asText).toVector
      val missing = wanted.filterNot(name => frame.columns.contains(name))
      if (missing.nonEmpty || wanted.isEmpty) throw new HandleException(
        "bad_columns", s"there is no column ${missing.mkString(", ")}: the columns are ${frame.columns.mkString(", ")}")
      frame.select(wanted.map(name => col("`" + name.replace("`", "``") + "`")): _*)
    }
}
