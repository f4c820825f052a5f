package hearth.agent

import com.fasterxml.jackson.databind.JsonNode

/** How a statement ended. */
sealed trait Outcome

object Outcome {

  /** @param data      one value for each MIME type, as Livy's clients read them
    * @param columns   what the value looks like as a table, if it does
    * @param truncated what is missing from the data, if anything
    */
  final case class Ok(
      data: Map[String, JsonNode],
      columns: Option[Seq[Column]] = None,
      truncated: Option[Truncated] = None) extends Outcome

  /** @param traceback lines that carry their own line ends */
  final case class Failed(ename: String, evalue: String, traceback: Seq[String]) extends Outcome
}

/** One column of a value that is a table.
  *
  * @param typed    the type as Spark SQL writes it (`bigint`, `array<string>`)
  * @param category `text`, `number`, `time`, `boolean`, `binary`, `nested` or `other`
  */
final case class Column(name: String, typed: String, category: String)

/** What a result leaves out.
  *
  * @param rows  how many there were, where that is known
  * @param shown how many are in the result
  */
final case class Truncated(rows: Option[Long], shown: Long, reason: String)
