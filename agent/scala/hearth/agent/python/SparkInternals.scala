package org.apache.spark.hearth

import java.util.Properties

import org.apache.spark.{SparkConf, SparkContext}
import org.apache.spark.api.python.Py4JServer

/** What the Python interpreter needs of Spark that Spark keeps to its own packages. The same in 3.5 and 4. */
object SparkInternals {

  /** A Py4J server on loopback, with a secret of its own. */
  final class Gateway(conf: SparkConf) {
    private val server = new Py4JServer(conf)
    server.start()

    def port: Int = server.getListeningPort

    def secret: String = server.secret

    def close(): Unit = server.shutdown()
  }

  /** The calling thread's job group, scheduler pool and the like, as a copy. */
  def localProperties(context: SparkContext): Properties =
    context.getLocalProperties.clone().asInstanceOf[Properties]

  def setLocalProperties(context: SparkContext, properties: Properties): Unit =
    context.setLocalProperties(properties.clone().asInstanceOf[Properties])
}
