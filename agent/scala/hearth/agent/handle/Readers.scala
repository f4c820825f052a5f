package org.apache.spark.sql.hearth

import hearth.agent.handle.Kept
import org.apache.spark.sql.{DataFrame, Dataset, SparkSession}
import org.apache.spark.sql.catalyst.expressions.SubqueryExpression
import org.apache.spark.sql.catalyst.plans.logical.{LogicalPlan, SubqueryAlias, View}
import org.apache.spark.sql.catalyst.rules.Rule
import org.apache.spark.sql.catalyst.trees.TreeNodeTag

/** Who reads a shared frame: whatever plan holds the one that was given, be it that of a frame that was made of it. Plans are copied and
  * rewritten, their nodes' tags are carried along; so it is a tag that stands for the reader, and as long as that is not garbage, it reads.
  */
object Readers {

  /** Stands for a reader.
    *
    * @param isOfFiles whether it reads files that belong to the handle: these can be made anew of nothing else
    */
  private final class Reader(val isOfFiles: Boolean)

  private val reader = TreeNodeTag[Reader]("hearth.reader")

  /** At the plan of a view: who keeps what it shows, and whether these are files. */
  private val shown = TreeNodeTag[(Kept, Boolean)]("hearth.shown")

  /** A frame of a plan in the hands of session code. It and all that is made of it count as one user of what is kept. */
  def lent(session: SparkSession, plan: LogicalPlan, kept: Kept, isOfFiles: Boolean): DataFrame = {
    // The handle's own plan must not hold on to a reader.
    val copy = plan.clone()
    if (copy eq plan) kept.lend(SparkSql.frame(session, plan))
    else {
      copy.setTagValue(reader, kept.lend(new Reader(isOfFiles)))
      SparkSql.frame(session, copy)
    }
  }

  /** A frame as a handle holds it, by a plan of its own. It is no reader of what other handles, or older versions of itself, keep cached, since
    * that can be computed anew; else each version would keep the ones before it.
    */
  def held(frame: Dataset[_]): DataFrame = SparkSql.frame(frame.sparkSession, unread(Plans.of(frame)))

  private def unread(plan: LogicalPlan): LogicalPlan = {
    // What is asked within an expression is no child of its node. It is not put there again but as something that is not equal to it.
    val copy = plan.clone().transformAllExpressions {
      case query: SubqueryExpression if isRead(query.plan) => query.withNewPlan(SubqueryAlias("hearth", unread(query.plan)))
    }
    copy.foreach(node => if (isReader(node)) node.unsetTagValue(reader))
    copy
  }

  private def isReader(node: LogicalPlan): Boolean = node.getTagValue(reader).exists(!_.isOfFiles)

  private def isRead(plan: LogicalPlan): Boolean =
    plan.exists(node => isReader(node) || node.expressions.exists(_.exists { case query: SubqueryExpression => isRead(query.plan); case _ => false }))

  /** Has each query of a view of this plan count as a user of what is kept. */
  def ofView(plan: LogicalPlan, kept: Kept, isOfFiles: Boolean): Unit = plan.setTagValue(shown, (kept, isOfFiles))

  /** Has the sessions that are made of this one look for such views. */
  def started(root: SparkSession): Unit = SparkSql.extensions(root).injectResolutionRule(_ => Rules)

  private object Rules extends Rule[LogicalPlan] {
    override def apply(plan: LogicalPlan): LogicalPlan = plan.resolveOperators { case view: View =>
      // Made for this query alone, so that it can be changed; a copy that differs by a tag would be taken for the same.
      for ((kept, isOfFiles) <- view.child.getTagValue(shown) if view.getTagValue(reader).isEmpty)
        view.setTagValue(reader, kept.lend(new Reader(isOfFiles)))
      view
    }
  }
}
