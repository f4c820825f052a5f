package hearth.agent

import java.util.concurrent.{CompletableFuture, ConcurrentHashMap}

import org.apache.spark.SparkContext

/** Interpreters made ready before a session asks for them, at most one of each kind. */
final class Spares(settings: Settings) {
  private val ready = new ConcurrentHashMap[String, CompletableFuture[Prepared]]

  /** Begins to make one ready, on a thread of its own, unless there is one.
    *
    * @param context the SparkContext, if it is there already
    */
  def prepare(kind: String, context: Option[SparkContext] = None): Unit = Languages.of(kind).foreach { language =>
    val made = new CompletableFuture[Prepared]
    if (ready.putIfAbsent(kind, made) == null) {
      val work: Runnable = () =>
        try {
          val prepared = language.prepare(settings)
          context.foreach(prepared.join)
          made.complete(prepared)
        } catch { case failure: Throwable => made.completeExceptionally(failure) }
      val thread = new Thread(work, s"hearth-prepare-$kind")
      thread.setDaemon(true)
      thread.start()
    }
  }

  /** The one that is ready, or nearly, or else a new one; None for a kind that nobody speaks. Blocks while it is made. */
  def take(kind: String): Option[Prepared] = Languages.of(kind).map { language =>
    ready.remove(kind) match {
      case null => language.prepare(settings)
      case made =>
        try made.get
        catch { case failed: java.util.concurrent.ExecutionException => throw failed.getCause }
    }
  }

  /** Ends those that nobody has taken. */
  def close(): Unit = ready.values.forEach { made =>
    if (made.isDone && !made.isCompletedExceptionally) made.get.close()
  }
}
