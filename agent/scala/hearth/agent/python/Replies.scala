package hearth.agent.python

import scala.collection.JavaConverters._

import com.fasterxml.jackson.databind.JsonNode

import hearth.agent.{Column, Json, Outcome, Truncated}

/** Outcomes as the runner and the agent tell them to each other: `{"output": …, "columns": …, "truncated": …}`. */
private[python] object Replies {

  /** The runner's `done`. */
  def outcome(done: JsonNode): Outcome = {
    val output = done.path("output")
    if (output.path("status").asText == "ok")
      Outcome.Ok(
        output.path("data").fields.asScala.map(entry => entry.getKey -> entry.getValue).toMap,
        present(done.path("columns")).map(_.elements.asScala.map(column).toVector),
        present(done.path("truncated")).map(truncated))
    else
      Outcome.Failed(output.path("ename").asText, output.path("evalue").asText, texts(output.path("traceback")))
  }

  /** An outcome of the agent's own, for the runner to make part of its answer. */
  def text(outcome: Outcome): String = {
    val made = Json.obj().putNull("columns").putNull("truncated")
    val output = made.putObject("output")
    outcome match {
      case Outcome.Ok(data, columns, cut) =>
        val bundle = output.put("status", "ok").putObject("data")
        data.foreach { case (mime, value) => bundle.set[JsonNode](mime, value) }
        columns.foreach(list => made.set[JsonNode]("columns", array(list)))
        cut.foreach { cut =>
          val told = made.putObject("truncated").put("shown", cut.shown).put("reason", cut.reason)
          cut.rows.fold(told.putNull("rows"))(told.put("rows", _))
        }
      case Outcome.Failed(ename, evalue, traceback) =>
        output.put("status", "error").put("ename", ename).put("evalue", evalue)
        output.set[JsonNode]("traceback", Json.texts(traceback))
    }
    Json.write(made)
  }

  def text(columns: Seq[Column]): String = Json.write(array(columns))

  def texts(array: JsonNode): Seq[String] = array.elements.asScala.map(_.asText).toVector

  private def array(columns: Seq[Column]): JsonNode = {
    val made = Json.array()
    columns.foreach(c => made.addObject().put("name", c.name).put("type", c.typed).put("class", c.category))
    made
  }

  private def column(node: JsonNode) =
    Column(node.path("name").asText, node.path("type").asText, node.path("class").asText)

  private def truncated(node: JsonNode) =
    Truncated(present(node.path("rows")).map(_.asLong), node.path("shown").asLong, node.path("reason").asText)

  private def present(node: JsonNode): Option[JsonNode] = if (node.isNull || node.isMissingNode) None else Some(node)
}
