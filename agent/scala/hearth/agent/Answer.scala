package hearth.agent

import com.fasterxml.jackson.databind.JsonNode
import com.fasterxml.jackson.databind.node.ObjectNode
import hearth.agent.result.Bounded

/** The body of `statement_done`. */
final class Answer(statement: Running, outcome: Outcome, started: Long, completed: Long, micros: Long) {
  def body: ObjectNode = {
    val cancelled = statement.cancelled && outcome.isInstanceOf[Outcome.Failed]
    val made = Json.obj()
    made.set[JsonNode]("output", bounded(output(cancelled)))
    made.put("cancelled", cancelled)
    made.set[JsonNode]("columns", columns)
    made.set[JsonNode]("truncated", truncated)
    made.put("started", started).put("completed", completed).put("ran_us", micros)
  }

  private def output(cancelled: Boolean): ObjectNode = outcome match {
    case _ if cancelled => failed(Outcome.Failed("Cancelled", "the statement was cancelled", Nil))
    case ok: Outcome.Ok =>
      val made = Json.obj().put("status", "ok").put("execution_count", statement.number)
      val data = made.putObject("data")
      ok.data.foreach { case (mime, value) => data.set[JsonNode](mime, value) }
      made
    case error: Outcome.Failed => failed(error)
  }

  private def failed(error: Outcome.Failed): ObjectNode = {
    val made = Json.obj().put("status", "error").put("execution_count", statement.number)
    made.put("ename", error.ename).put("evalue", error.evalue)
    made.set[ObjectNode]("traceback", Json.texts(error.traceback))
  }

  /** The output as text, or an error in its place if it is too large for the gateway. */
  private def bounded(output: ObjectNode): JsonNode = {
    val text = Json.write(output)
    if (text.length <= Bounded.mostBytes) Json.raw(text) else failed(Bounded.tooLarge)
  }

  private def columns: JsonNode = outcome match {
    case Outcome.Ok(_, Some(list), _) =>
      val made = Json.array()
      list.foreach(c => made.addObject().put("name", c.name).put("type", c.typed).put("class", c.category))
      made
    case _ => Json.text(null)
  }

  private def truncated: JsonNode = outcome match {
    case Outcome.Ok(_, _, Some(cut)) =>
      val made = Json.obj()
      cut.rows.fold(made.putNull("rows"))(made.put("rows", _))
      made.put("shown", cut.shown).put("reason", cut.reason)
    case _ if statement.dropped > 0 =>
      Json.obj().putNull("rows").put("shown", 0)
        .put("reason", s"${statement.dropped} bytes of output beyond the first ${statement.maxOutput} were left out")
    case _ => Json.text(null)
  }
}

object Answer {
  /** The answer to a statement that was cancelled before it began. */
  def unstarted(now: Long): ObjectNode =
    Json.obj().putNull("output").put("cancelled", true).putNull("columns").putNull("truncated")
      .put("started", 0L).put("completed", now).put("ran_us", 0L)
}
