package hearth.agent.sql

import scala.util.Try

import org.apache.spark.sql.SparkSession

/** What could stand at a place in a piece of SQL: columns of the tables that it names, tables, functions, keywords. */
final class SqlCompletion(spark: SparkSession) {
  import SqlCompletion._

  def candidates(code: String, cursor: Int): Seq[String] = {
    val before = code.take(cursor)
    val prefix = before.reverse.takeWhile(c => c.isLetterOrDigit || c == '_').reverse
    val start = prefix.toLowerCase(java.util.Locale.ROOT)
    def fitting(names: Seq[String]): Seq[String] = names.filter(_.toLowerCase(java.util.Locale.ROOT).startsWith(start)).sorted
    val words = if (prefix.nonEmpty && prefix.forall(c => !c.isLower)) keywords else keywords.map(_.toLowerCase(java.util.Locale.ROOT))
    (fitting(columns(code)) ++ fitting(tables) ++ fitting(words)).distinct
  }

  /** Tables of the current database and temporary views, by name alone: nothing is read of them. */
  private def tables: Seq[String] = Try {
    val catalog = spark.sessionState.catalog
    catalog.listTables(catalog.getCurrentDatabase).map(_.table)
  }.getOrElse(Nil)

  private def columns(code: String): Seq[String] =
    sources.findAllMatchIn(code).map(_.group(1)).toSeq.distinct.take(5)
      .flatMap(name => Try(spark.table(name).columns.toSeq).getOrElse(Nil))
}

object SqlCompletion {
  private val sources = """(?i)\b(?:from|join|into|table|update|describe)\s+([\w.`]+)""".r

  private val keywords = (
    "ALL ALTER ANALYZE AND ANTI ARRAY AS ASC BETWEEN BY CACHE CASE CAST COLUMN COLUMNS COMMENT CREATE CROSS CUBE CURRENT DATABASE " +
      "DATABASES DELETE DESC DESCRIBE DISTINCT DISTRIBUTE DROP ELSE END EXCEPT EXISTS EXPLAIN EXTENDED EXTERNAL FALSE FIRST FORMATTED " +
      "FROM FULL FUNCTION FUNCTIONS GLOBAL GROUP GROUPING HAVING IF IN INNER INSERT INTERSECT INTERVAL INTO IS JOIN LAST LATERAL LEFT " +
      "LIKE LIMIT LOCATION MAP MERGE MINUS NATURAL NOT NULL NULLS OFFSET ON OPTIONS OR ORDER OUTER OVER OVERWRITE PARTITION PARTITIONED " +
      "PIVOT RECURSIVE REFRESH REPLACE RIGHT RLIKE ROLLUP ROW ROWS SCHEMA SCHEMAS SELECT SEMI SET SHOW SORT STRUCT TABLE TABLES " +
      "TABLESAMPLE TBLPROPERTIES TEMPORARY THEN TRUE TRUNCATE UNBOUNDED UNCACHE UNION UNPIVOT UPDATE USE USING VALUES VIEW VIEWS WHEN " +
      "WHERE WINDOW WITH").split(' ').toSeq
}
