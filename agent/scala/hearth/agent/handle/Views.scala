package hearth.agent.handle

import org.apache.spark.rdd.RDD
import org.apache.spark.sql.{Row, SparkSession, SQLContext}
import org.apache.spark.sql.hearth.Plans
import org.apache.spark.sql.sources.{BaseRelation, TableScan}
import org.apache.spark.sql.types.StructType

/** Handles in SQL: `global_temp.NAME`. */
private[handle] object Views {

  /** Shows a handle to the SQL of all sessions, if it has columns. */
  def show(root: SparkSession, handle: Handle): Unit = handle.opened match {
    case Some(frame: FrameContent) => Plans.view(handle.name, frame.frame(root))
    case _ => handle.schema match {
      case Some(schema) => Plans.view(handle.name, root.baseRelationToDataFrame(new Newest(root.sqlContext, schema, handle)))
      case None         => hide(root, handle.name)
    }
  }

  def hide(root: SparkSession, name: String): Unit = Plans.dropView(root, name)

  /** A handle's newest version at the moment in which a query is planned. */
  private final class Newest(override val sqlContext: SQLContext, override val schema: StructType, handle: Handle)
      extends BaseRelation with TableScan {

    override def buildScan(): RDD[Row] = handle.reading { version =>
      version.content.kept.lend(version.content match {
        case pairs: PairContent => PairContent.rows(pairs.entries, schema)
        case rdd: RddContent    => RddContent.rows(rdd.elements, schema)
        case other              => other.frame(sqlContext.sparkSession).rdd
      })
    }

    override def toString: String = s"Handle(${handle.name})"
  }
}
