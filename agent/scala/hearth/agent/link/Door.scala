package hearth.agent.link

import java.net.URI
import java.net.http.{HttpClient, HttpRequest, HttpResponse}
import java.time.Duration
import java.util.concurrent.{CompletableFuture, Executors, ThreadFactory}

import hearth.agent.Settings

/** Plain requests to the gateway that holds the link: what is too much for the link itself.
  *
  * @param address base address of that gateway, if there is one now
  */
final class Door(settings: Settings, address: () => Option[String]) {
  private val client: HttpClient = {
    val named: ThreadFactory = work => {
      val made = new Thread(work, "hearth-door")
      made.setDaemon(true)
      made
    }
    val builder = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).connectTimeout(Duration.ofSeconds(10))
    Pinned.known(builder, settings).executor(Executors.newCachedThreadPool(named)).build()
  }

  /** Sends a body of unknown length while it is made; completes when the gateway has answered, or has closed its end. */
  def post(path: String, headers: Seq[(String, String)], body: HttpRequest.BodyPublisher): CompletableFuture[HttpResponse[String]] =
    client.sendAsync(request(path, headers).POST(body).build(), HttpResponse.BodyHandlers.ofString())

  /** @throws java.io.IOException when no gateway answers */
  def get(path: String): HttpResponse[java.io.InputStream] =
    client.send(request(path, Nil).GET().build(), HttpResponse.BodyHandlers.ofInputStream())

  private def request(path: String, headers: Seq[(String, String)]): HttpRequest.Builder = {
    val base = address().getOrElse(throw new java.io.IOException("there is no gateway now"))
    val made = HttpRequest.newBuilder(URI.create(base + path))
      .header("Authorization", "Bearer " + settings.token)
      .header("X-Hearth-Application", settings.application)
    headers.foreach { case (name, value) => made.header(name, value) }
    made
  }
}
