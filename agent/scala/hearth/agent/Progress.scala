package hearth.agent

import java.util.concurrent.{ConcurrentHashMap, TimeUnit}

import scala.collection.mutable

import hearth.agent.link.Link
import org.apache.spark.scheduler._

/** Tells how far the Spark jobs of the running statements are, a few times a second, from the scheduler's own events. */
final class Progress(link: Link, timer: java.util.concurrent.ScheduledExecutorService) extends SparkListener {
  import Progress._

  /** By job group. */
  private val watched = new ConcurrentHashMap[String, Counts]

  /** Stage to counts; only the listener's thread uses it. */
  private val stages = mutable.HashMap.empty[Int, Counts]
  private val jobs = mutable.HashMap.empty[Int, Seq[Int]]

  def watch(group: String, session: String, statement: Int): Unit = watched.put(group, new Counts(session, statement))

  def forget(group: String): Unit = Option(watched.remove(group)).foreach(_.over = true)

  override def onJobStart(event: SparkListenerJobStart): Unit = {
    val group = Jobs.group(event)
    val counts = if (group == null) null else watched.get(group)
    if (counts != null) {
      counts.synchronized {
        counts.jobs += 1
        event.stageInfos.foreach { stage =>
          counts.planned(stage.stageId) = stage.numTasks
          stages(stage.stageId) = counts
        }
      }
      jobs(event.jobId) = event.stageInfos.map(_.stageId).toList
      changed(counts)
    }
  }

  /** Stages that the job did not need, as their output was there, are no longer counted. */
  override def onJobEnd(event: SparkListenerJobEnd): Unit =
    jobs.remove(event.jobId).foreach(_.foreach { stage =>
      stages.remove(stage).foreach { counts =>
        counts.synchronized(if (!counts.submitted(stage)) counts.planned.remove(stage))
        changed(counts)
      }
    })

  override def onStageSubmitted(event: SparkListenerStageSubmitted): Unit = of(event.stageInfo.stageId) { counts =>
    counts.submitted += event.stageInfo.stageId
    counts.planned(event.stageInfo.stageId) = event.stageInfo.numTasks
  }

  override def onStageCompleted(event: SparkListenerStageCompleted): Unit =
    of(event.stageInfo.stageId)(counts => counts.stagesDone += 1)

  override def onTaskStart(event: SparkListenerTaskStart): Unit = of(event.stageId)(counts => counts.tasksActive += 1)

  override def onTaskEnd(event: SparkListenerTaskEnd): Unit = of(event.stageId) { counts =>
    counts.tasksActive -= 1
    if (event.taskInfo != null && event.taskInfo.successful) counts.tasksDone += 1 else counts.tasksFailed += 1
  }

  private def of(stage: Int)(change: Counts => Unit): Unit = stages.get(stage).foreach { counts =>
    counts.synchronized(change(counts))
    changed(counts)
  }

  /** Tells at once if nothing was told lately, else when it is time. */
  private def changed(counts: Counts): Unit = {
    val soon = counts.synchronized {
      val first = !counts.scheduled
      counts.scheduled = true
      first
    }
    if (soon) {
      val wait = math.max(0, counts.told + intervalMillis - System.nanoTime / 1000000)
      timer.schedule((() => tell(counts)): Runnable, wait, TimeUnit.MILLISECONDS)
    }
  }

  private def tell(counts: Counts): Unit = {
    val body = counts.synchronized {
      counts.scheduled = false
      counts.told = System.nanoTime / 1000000
      counts.body
    }
    if (!counts.over) link.offer("progress", Some(counts.session), Some(counts.statement), body)
  }
}

object Progress {
  private val intervalMillis = 200L

  /** The state of one statement's jobs; guarded by itself. */
  private final class Counts(val session: String, val statement: Int) {
    val planned = mutable.HashMap.empty[Int, Int]
    val submitted = mutable.HashSet.empty[Int]
    var jobs = 0
    var stagesDone = 0
    var tasksDone = 0
    var tasksActive = 0
    var tasksFailed = 0
    var scheduled = false
    var told = 0L
    @volatile var over = false

    def body = {
      val tasks = planned.values.sum
      Json.obj()
        .put("progress", if (tasks == 0) 0.0 else math.min(1.0, tasksDone.toDouble / tasks))
        .put("jobs", jobs).put("stages", planned.size).put("stages_done", stagesDone)
        .put("tasks", tasks).put("tasks_done", tasksDone).put("tasks_active", tasksActive).put("tasks_failed", tasksFailed)
    }
  }
}
