package hearth.agent.handle

import org.apache.spark.rdd.RDD
import org.apache.spark.sql.{DataFrame, Row, SparkSession}
import org.apache.spark.sql.catalyst.expressions.GenericRowWithSchema
import org.apache.spark.sql.types._

/** What a handle's files hold: its columns, which anybody can read, and for elements and entries that these change, such as numbers among
  * texts, the exact value in one more column. That is empty where the columns say all, so that plain data are not written twice. Files
  * without it, of earlier versions, are read by their columns.
  */
private[handle] object Durable {

  /** The table that is written.
    *
    * @throws HandleException `bad_columns` for what has no columns
    */
  def table(content: Content, session: SparkSession): DataFrame = content match {
    case pairs: PairContent =>
      val Array(keys, values) = pairs.columns.fields.map(_.dataType)
      made(session, pairs.columns, pairs.entries.map { case (normal, value) =>
        val key = Keys.value(normal)
        val exact = if (isPlain(key, keys) && isPlain(value, values)) null else Exact.write((key, value))
        Row(Schemas.cell(key, keys), Schemas.cell(value, values), exact)
      })
    case rdd: RddContent =>
      val columns = rdd.table
      made(session, columns, rdd.elements.map { element =>
        val isWhole =
          if (isSingle(columns)) Schemas.isSingle(element, columns) && isPlain(element, columns.head.dataType) else isPlain(element, columns)
        Row.fromSeq(Schemas.row(element, columns).toSeq :+ (if (isWhole && element != null) null else Exact.write(element)))
      })
    case other => other.frame(session)
  }

  /** A session that writes days as they are, however long ago they were. Spark 3 asks first, for the sake of those who would read them by
    * Spark 2's calendar.
    */
  def writer(root: SparkSession): SparkSession = {
    val made = root.newSession()
    Seq("datetimeRebaseModeInWrite", "int96RebaseModeInWrite").foreach(name => made.conf.set(s"spark.sql.parquet.$name", "CORRECTED"))
    made
  }

  /** The columns of what was written, as they were before. */
  def columns(written: DataFrame): StructType = place(written) match {
    case -1 => written.schema
    case at => StructType(written.schema.fields.take(at))
  }

  /** The entries of what was written. */
  def entries(written: DataFrame): RDD[(Any, Any)] = {
    val at = place(written)
    written.rdd.map { row =>
      exact(row, at) match {
        case None               => (Values.plain(row.get(0)), Values.plain(row.get(1)))
        case Some((key, value)) => (key, value)
        case Some(_)            => throw Exact.unknown
      }
    }
  }

  /** The elements of what was written. */
  def elements(written: DataFrame): RDD[Any] = {
    val at = place(written)
    val table = columns(written)
    written.rdd.map { row =>
      exact(row, at).getOrElse(Values.plain(
        if (isSingle(table)) row.get(0) else new GenericRowWithSchema(row.toSeq.take(table.size).toArray, table)))
    }
  }

  private def made(session: SparkSession, columns: StructType, rows: RDD[Row]): DataFrame = {
    // Somebody's own column may have the name; which one is ours, its metadata say.
    val name = Iterator.iterate("_exact")(_ + "_").find(name => !columns.fieldNames.exists(_.equalsIgnoreCase(name))).get
    session.createDataFrame(rows, columns.add(name, BinaryType, nullable = true, mark))
  }

  /** Where the exact values stand; -1 if they are not there. */
  private def place(written: DataFrame): Int = written.schema.fields.lastIndexWhere(_.metadata.contains(marked))

  private def exact(row: Row, at: Int): Option[Any] =
    if (at < 0 || row.isNullAt(at)) None else Some(Exact.read(row.getAs[Array[Byte]](at)))

  private def isSingle(table: StructType): Boolean = table.fieldNames.sameElements(Array("value"))

  /** Whether a value comes back from a column as it was. */
  private def isPlain(value: Any, kind: DataType): Boolean = (kind, value) match {
    case (_, null)                      => true
    case (StringType, _: String)        => true
    case (LongType, _: Long)            => true
    case (IntegerType, _: Int)          => true
    case (DoubleType, _: Double)        => true
    case (BooleanType, _: Boolean)      => true
    case (BinaryType, _: Array[Byte])   => true
    case (ArrayType(of, _), items: Vector[_]) => items.forall(isPlain(_, of))
    case (struct: StructType, row: Row) =>
      row.schema != null && row.schema.fieldNames.sameElements(struct.fieldNames) && !Values.isOfTuple(struct.fieldNames) &&
      arePlain(row.toSeq, struct)
    case (struct: StructType, tuple: Product) =>
      Values.isTuple(tuple) && Values.isOfTuple(struct.fieldNames) && tuple.productArity == struct.size &&
      arePlain(tuple.productIterator.toSeq, struct)
    case _ => false
  }

  private def arePlain(parts: Seq[Any], struct: StructType): Boolean =
    parts.zip(struct.fields).forall { case (part, field) => isPlain(part, field.dataType) }

  private val marked = "hearth.exact"
  private val mark = new MetadataBuilder().putBoolean(marked, true).build()
}
