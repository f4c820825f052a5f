package hearth.agent.sql

import scala.collection.mutable
import scala.util.Try

import org.apache.spark.sql.SparkSession

/** Finds the statements in a piece of SQL. */
object Statements {

  /** The statements to run, at least one. What Spark can parse as a whole, scripts between BEGIN and END included, is one. */
  def of(spark: SparkSession, code: String): Seq[String] = {
    val parts = split(code)
    if (parts.length < 2 || parses(spark, code)) Seq(code) else parts
  }

  private def parses(spark: SparkSession, code: String): Boolean =
    Try(spark.sessionState.sqlParser.parsePlan(code)).isSuccess

  /** Splits at semicolons that stand in no quotes and no comment; parts without code are left out. */
  def split(code: String): Seq[String] = {
    val parts = mutable.ArrayBuffer.empty[String]
    var start = 0
    var at = 0
    var hasCode = false

    def end(upTo: Int): Unit = {
      if (hasCode) parts += code.substring(start, upTo)
      start = upTo + 1
      hasCode = false
    }

    while (at < code.length) {
      val c = code.charAt(at)
      if (code.startsWith("--", at)) at = endOfLine(code, at)
      else if (code.startsWith("/*", at)) at = endOfComment(code, at)
      else {
        if (c == ';') end(at)
        else if (!c.isWhitespace) hasCode = true
        at = if (c == '\'' || c == '"' || c == '`') endOfQuote(code, at) else at + 1
      }
    }
    end(code.length)
    parts.toList
  }

  private def endOfLine(code: String, from: Int): Int = {
    val end = code.indexOf('\n', from)
    if (end < 0) code.length else end
  }

  /** Spark's bracketed comments nest. */
  private def endOfComment(code: String, from: Int): Int = {
    var depth = 1
    var at = from + 2
    while (at < code.length && depth > 0) {
      if (code.startsWith("*/", at)) { depth -= 1; at += 2 }
      else if (code.startsWith("/*", at)) { depth += 1; at += 2 }
      else at += 1
    }
    at
  }

  private def endOfQuote(code: String, from: Int): Int = {
    val quote = code.charAt(from)
    val raw = from > 0 && (code.charAt(from - 1) == 'r' || code.charAt(from - 1) == 'R')
    var at = from + 1
    while (at < code.length && code.charAt(at) != quote)
      at += (if (code.charAt(at) == '\\' && quote != '`' && !raw) 2 else 1)
    math.min(at + 1, code.length)
  }
}
