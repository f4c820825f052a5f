// What a Spark shell runs while its classes are recorded: see archive.rs.
1 + 1
case class Word(text: String, count: Long)
val words = sc.parallelize(Seq("to be or not to be"), 2).flatMap(_.split(" ")).map((_, 1L)).reduceByKey(_ + _)
words.sortBy(-_._2).take(3)
import spark.implicits._
val counts = words.map { case (text, count) => Word(text, count) }.toDF()
counts.createOrReplaceTempView("counts")
spark.sql("select text, count from counts where count > 1 order by count desc, text limit 10").show()
spark.sql("select count(*), max(text) from counts").collect()
counts.groupBy("count").count().join(counts, "count").collect().length
spark.range(10).selectExpr("id", "cast(id as string) as s", "array(id) as a").toJSON.collect().length
counts.select("text").write.text("words")
spark.read.text("words").count()
java.net.http.HttpClient.newHttpClient().newWebSocketBuilder()
:quit
