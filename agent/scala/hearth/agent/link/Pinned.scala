package hearth.agent.link

import java.net.Socket
import java.net.http.HttpClient
import java.security.{MessageDigest, SecureRandom}
import java.security.cert.{CertificateException, X509Certificate}
import java.util.Collections
import javax.net.ssl.{SNIHostName, SSLContext, SSLEngine, SSLParameters, X509ExtendedTrustManager}

import hearth.agent.Settings

/** TLS to the gateway, which is known by one certificate of its own, made for drivers alone: no CA of the host's is asked, and no name
  * is compared, so it holds under whatever address the gateway is dialled, and after its public certificate has changed.
  */
object Pinned {
  /** By this name in the handshake the gateway knows that a driver calls, and shows that certificate. */
  private val doorName = "driver.hearth.internal"

  /** A client that knows the gateway so, where it is known by a certificate. */
  def known(builder: HttpClient.Builder, settings: Settings): HttpClient.Builder =
    settings.certificate.fold(builder)(certificate => builder.sslContext(context(certificate)).sslParameters(parameters()))

  /** @param certificate SHA-256 of the certificate's DER form, in hexadecimal */
  private def context(certificate: String): SSLContext = {
    val context = SSLContext.getInstance("TLS")
    context.init(null, Array(new Only(certificate)), new SecureRandom)
    context
  }

  private def parameters(): SSLParameters = {
    val parameters = new SSLParameters
    parameters.setServerNames(Collections.singletonList(new SNIHostName(doorName)))
    parameters
  }

  /** Trusts that certificate. TLS itself proves that whoever shows it has its key. */
  private final class Only(certificate: String) extends X509ExtendedTrustManager {
    private def check(chain: Array[X509Certificate]): Unit = {
      val hash = chain.headOption.map(shown => MessageDigest.getInstance("SHA-256").digest(shown.getEncoded))
      val hex = hash.map(_.map(byte => f"$byte%02x").mkString)
      if (!hex.contains(certificate)) throw new CertificateException("this is not the gateway that started this driver")
    }

    override def checkServerTrusted(chain: Array[X509Certificate], kind: String): Unit = check(chain)
    override def checkServerTrusted(chain: Array[X509Certificate], kind: String, socket: Socket): Unit = check(chain)
    override def checkServerTrusted(chain: Array[X509Certificate], kind: String, engine: SSLEngine): Unit = check(chain)

    private def refuse(): Unit = throw new CertificateException("a driver serves nobody")
    override def checkClientTrusted(chain: Array[X509Certificate], kind: String): Unit = refuse()
    override def checkClientTrusted(chain: Array[X509Certificate], kind: String, socket: Socket): Unit = refuse()
    override def checkClientTrusted(chain: Array[X509Certificate], kind: String, engine: SSLEngine): Unit = refuse()

    override def getAcceptedIssuers: Array[X509Certificate] = Array.empty
  }
}
