package hearth.agent

import java.io.File
import java.nio.file.{Files, Path}

import scala.io.Source

import com.fasterxml.jackson.databind.JsonNode
import hearth.agent.link.{Envelope, Outbox}
import hearth.agent.repl.Chunk
import hearth.agent.result.{JsonValue, Table}
import hearth.agent.sql.Statements

/** Checks of what needs no Spark: the wire against the golden envelopes, the outbox, and the pure parts of the interpreters.
  *
  * Arguments: the folder of golden envelopes. Prints each failure and ends with 1 if there was one.
  */
object Checks {
  private var failures = 0

  private def same[T](what: String, found: T, expected: T): Unit = if (found != expected) {
    failures += 1
    println(s"$what:\n  expected $expected\n  found    $found")
  }

  def main(arguments: Array[String]): Unit = {
    golden(new File(arguments(0)))
    unreadable()
    outbox()
    allowance()
    sqlStatements()
    chunks()
    values()
    println(if (failures == 0) "all checks passed" else s"$failures checks failed")
    System.exit(if (failures == 0) 0 else 1)
  }

  /** Every envelope survives being read and written again, and stays ASCII. */
  private def golden(folder: File): Unit = {
    val files = folder.listFiles.filter(_.getName.endsWith(".json")).sortBy(_.getName)
    same("golden envelopes found", files.nonEmpty, true)
    files.foreach { file =>
      val text = read(file)
      val envelope = Envelope.parse(text)
      val written = Envelope.frame(
        envelope.seq, envelope.epoch, Envelope.rest(envelope.session, envelope.statement, envelope.tag, envelope.body))
      same(s"${file.getName} in ASCII", written.forall(_ < 0x80), true)
      same(file.getName, withoutNulls(Json.parse(written)), withoutNulls(Json.parse(text)))
    }
    val run = Envelope.parse(read(new File(folder, "run.json")))
    same("code of run.json", run.body.path("code").asText, "println(\"你好 😀\")\n1+1")
    val output = Envelope.parse(read(new File(folder, "output-stdout.json")))
    same("a lone surrogate", output.body.path("text").asText.charAt(6), '\ud800')
  }

  private def unreadable(): Unit = {
    def frame(seq: Int, value: String) =
      s"""{"seq":$seq,"epoch":3,"session":null,"statement":null,"type":"handle_request","body":{"op":"put","entries":[["a",$value]]}}"""
    def tag(value: String): String = Envelope.read(frame(7, value)).tag
    same("a long number", tag("-" + "9" * 1000 + ".5e-10"), "handle_request")
    same("a long name", tag("{\"" + "n" * 100000 + "\":1}"), "handle_request")
    same("what is deep", tag("[" * 64 + "]" * 64), "handle_request")
    same("what is too deep", Envelope.read(frame(7, "[" * 5000 + "]" * 5000)), Envelope(7, 3, None, None, Envelope.unreadable, Json.obj()))
    same("what is cut off", tag("["), Envelope.unreadable)
    same("no number, no envelope", Seq(frame(0, "["), "[", "nonsense", "{\"seq\":7").map(bad => scala.util.Try(Envelope.read(bad)).isFailure).distinct, Seq(true))
  }

  /** `session` and `statement` may be null or absent alike. */
  private def withoutNulls(node: JsonNode): JsonNode = {
    val copy = node.deepCopy[com.fasterxml.jackson.databind.node.ObjectNode]()
    Seq("session", "statement").filter(key => copy.path(key).isNull).foreach(key => copy.remove(key))
    copy
  }

  private def outbox(): Unit = {
    val folder = Files.createTempDirectory("hearth-checks")
    val box = new Outbox(100, 1000, folder)
    val messages = (1 to 30).map(i => s"message $i " + "x" * 10)
    messages.foreach(box.append)
    same("on disk", Files.size(folder.resolve("outbox.spill")) > 0, true)
    same("read back", (1L to 30L).flatMap(box.get), messages)
    box.acknowledged(29)
    same("first after acknowledgement", box.first, 30L)
    same("acknowledged is gone", box.get(29), None)
    same("the last is there", box.get(30), Some(messages.last))
    box.acknowledged(99)
    same("acknowledged beyond the last", (box.first, box.last), (31L, 30L))
    same("the file is empty", Files.size(folder.resolve("outbox.spill")), 0L)
    same("too long to offer", box.offer("y" * 101), false)
    fullOutboxWaits(new Outbox(100, 100, folder.resolve("full")))
    box.close()
    delete(folder)
  }

  private def fullOutboxWaits(box: Outbox): Unit = {
    val writer = new Thread(() => (1 to 4).foreach(i => box.append(s"$i" * 60)))
    writer.start()
    while (writer.getState != Thread.State.WAITING) Thread.onSpinWait()
    same("a full outbox makes the writer wait", box.last, 2L)
    box.force("important")
    same("but not for forced messages", box.get(3), Some("important"))
    box.acknowledged(3)
    writer.join(10000)
    same("room lets it go", box.last, 5L)
    box.close()
  }

  private def allowance(): Unit = {
    val allowance = new Allowance(5)
    same("fits", allowance.take("abc"), (("abc", false)))
    same("a pair is not split", allowance.take("😀"), (("", true)))
    same("nothing after the cut", allowance.take("d"), (("", false)))
    same("refused bytes", allowance.refused, 5L)
  }

  private def sqlStatements(): Unit = {
    same("quotes and comments", Statements.split("select 'a;b', \"c;\", `d;` -- e;\n; /* f; /* g; */ ; */ select 2;"),
      Seq("select 'a;b', \"c;\", `d;` -- e;\n", " /* f; /* g; */ ; */ select 2"))
    same("escapes", Statements.split("select 'it\\'s;'; select r'\\'"), Seq("select 'it\\'s;'", " select r'\\'"))
    same("nothing", Statements.split(" ; -- only a comment"), Nil)
  }

  private def chunks(): Unit = {
    same("magic after code", Chunk.of("val a = 1\n%json a"), Seq(Chunk.Code("val a = 1", 0), Chunk.Magic("json", "a")))
    same("code after magic", Chunk.of("%table t\n\nval b = 2"), Seq(Chunk.Magic("table", "t"), Chunk.Code("\nval b = 2", 1)))
    same("query over lines", Chunk.of("%sql\nselect 1\nfrom t"), Seq(Chunk.Magic("sql", "select 1\nfrom t")))
    same("bare magic", Chunk.of("%json"), Seq(Chunk.Magic("json", "")))
    same("an operator is no magic", Chunk.of("val c = 7\n  % 2"), Seq(Chunk.Code("val c = 7\n  % 2", 0)))
  }

  private final case class Person(name: String, age: Int)

  private def values(): Unit = {
    same("case class", JsonValue.text(Person("ann", 30)), """{"name":"ann","age":30}""")
    same("nested", JsonValue.text(Map("k" -> Seq(Some(1), None, (2, "b")))), """{"k":[1,null,{"_1":2,"_2":"b"}]}""")
    same("numbers", JsonValue.text(Seq(Double.NaN, Double.PositiveInfinity, BigDecimal("1.10"))), """[null,"Infinity",1.10]""")
    same("not serialisable", scala.util.Try(JsonValue.text(new Thread)).isFailure, true)
    val cyclic = new java.util.ArrayList[Any]
    cyclic.add(cyclic)
    same("cyclic", scala.util.Try(JsonValue.text(cyclic)).isFailure, true)
    same("table of case classes", table(Seq(Person("ann", 30))),
      """{"headers":[{"type":"BIGINT_TYPE","name":"age"},{"type":"STRING_TYPE","name":"name"}],"data":[[30,"ann"]]}""")
    same("table of maps with different keys", table(Seq(Map("a" -> 1), Map("b" -> 2.5))),
      """{"headers":[{"type":"BIGINT_TYPE","name":"a"},{"type":"DOUBLE_TYPE","name":"b"}],"data":[[1,null],[null,2.5]]}""")
    same("table of mixed types", Table.of(Seq(Seq(1), Seq("x")), 10),
      Outcome.Failed("TypeError", "table rows have different types", Nil))
  }

  private def table(value: Any): String = Table.of(value, 10) match {
    case ok: Outcome.Ok         => Json.write(ok.data(Table.mime))
    case failed: Outcome.Failed => failed.toString
  }

  private def read(file: File): String = {
    val source = Source.fromFile(file, "UTF-8")
    try source.mkString
    finally source.close()
  }

  private def delete(folder: Path): Unit = {
    Option(folder.toFile.listFiles).toSeq.flatten.foreach(file => if (file.isDirectory) delete(file.toPath) else file.delete())
    Files.deleteIfExists(folder)
  }
}
