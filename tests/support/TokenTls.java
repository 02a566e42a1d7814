import java.io.*;
import java.net.Socket;
import java.nio.file.*;
import java.security.*;
import java.security.cert.*;
import java.util.*;
import javax.net.ssl.*;

/*
 * TLS by Java with keys on the token that the provider SunPKCS11 of the security properties names.
 *
 *   java TokenTls serve CA PIN-FILE ALIAS...
 *       prints "ALIAS PORT" for each, then sends every line back reversed, until it is killed. Clients
 *       need a certificate of that CA (PEM).
 *   java TokenTls dial CA PIN-FILE [PORT PROTOCOL ALIAS]...
 *       says a line to each and prints "PROTOCOL ALIAS: PEER: ANSWER"; an ALIAS of "-" has no
 *       certificate. Exits with 1 and the reasons when one fails.
 */
class TokenTls {
    /* One entry of the token, whoever asks; so that a test chooses and not JSSE. */
    static class OneKey extends X509ExtendedKeyManager {
        private final String alias;
        private final PrivateKey key;
        private final X509Certificate[] chain;

        OneKey(KeyStore token, String alias) throws GeneralSecurityException {
            this.alias = alias;
            key = (PrivateKey) token.getKey(alias, null);
            if (key == null)
                throw new KeyStoreException("no private key " + alias + " on the token");
            chain = Arrays.copyOf(token.getCertificateChain(alias), 1, X509Certificate[].class);
        }

        private String of(String... types) {
            return Arrays.asList(types).contains(key.getAlgorithm()) ? alias : null;
        }

        public String chooseClientAlias(String[] types, Principal[] issuers, Socket s) {
            return of(types);
        }

        public String chooseServerAlias(String type, Principal[] issuers, Socket s) {
            return of(type);
        }

        public String[] getClientAliases(String type, Principal[] issuers) {
            return new String[] {alias};
        }

        public String[] getServerAliases(String type, Principal[] issuers) {
            return new String[] {alias};
        }

        public X509Certificate[] getCertificateChain(String a) {
            return chain;
        }

        public PrivateKey getPrivateKey(String a) {
            return key;
        }
    }

    static KeyStore token;
    static TrustManager[] trust;

    static void open(String ca, String pin) throws Exception {
        KeyStore roots = KeyStore.getInstance("PKCS12");
        TrustManagerFactory f = TrustManagerFactory.getInstance("PKIX");

        roots.load(null, null);
        try (InputStream in = Files.newInputStream(Path.of(ca))) {
            roots.setCertificateEntry(
                "ca", CertificateFactory.getInstance("X.509").generateCertificate(in));
        }
        f.init(roots);
        trust = f.getTrustManagers();
        token = KeyStore.getInstance("PKCS11");
        token.load(null, Files.readString(Path.of(pin)).strip().toCharArray());
    }

    static SSLContext context(String alias) throws GeneralSecurityException {
        SSLContext c = SSLContext.getInstance("TLS");

        c.init(alias.equals("-") ? new KeyManager[0] : new KeyManager[] {new OneKey(token, alias)},
               trust, null);
        return c;
    }

    static String reasons(Throwable t) {
        StringBuilder all = new StringBuilder();

        for (; t != null; t = t.getCause())
            all.append(all.length() == 0 ? "" : " <- ").append(t);
        return all.toString();
    }

    static void answer(SSLSocket s) {
        try (s) {
            String line = reader(s).readLine();

            writer(s).println(new StringBuilder(line).reverse());
        } catch (Exception x) {
            System.out.println("refused: " + reasons(x));
        }
    }

    static void serve(String alias) throws Exception {
        SSLServerSocket at = (SSLServerSocket) context(alias).getServerSocketFactory().createServerSocket(
            0, 5, java.net.InetAddress.getLoopbackAddress());

        at.setNeedClientAuth(true);
        System.out.println(alias + " " + at.getLocalPort());
        new Thread(() -> {
            while (true) {
                try {
                    answer((SSLSocket) at.accept());
                } catch (IOException x) {
                    System.out.println(reasons(x));
                }
            }
        }).start();
    }

    static void dial(int port, String protocol, String alias) throws Exception {
        SSLParameters p = new SSLParameters(null, new String[] {protocol});

        p.setEndpointIdentificationAlgorithm("HTTPS");
        try (SSLSocket s = (SSLSocket) context(alias).getSocketFactory().createSocket("localhost", port)) {
            s.setSoTimeout(20000);
            s.setSSLParameters(p);
            s.startHandshake();
            writer(s).println("tally ho");
            String line = reader(s).readLine();
            System.out.println(protocol + " " + alias + ": " + s.getSession().getPeerPrincipal() + ": " + line);
        }
    }

    static BufferedReader reader(Socket s) throws IOException {
        return new BufferedReader(new InputStreamReader(s.getInputStream()));
    }

    static PrintWriter writer(Socket s) throws IOException {
        return new PrintWriter(s.getOutputStream(), true);
    }

    public static void main(String[] a) {
        boolean failed = false;

        try {
            open(a[1], a[2]);
            for (int i = 3; a[0].equals("serve") && i < a.length; i++)
                serve(a[i]);
        } catch (Exception x) {
            System.out.println(reasons(x));
            System.exit(1);
        }
        if (a[0].equals("serve"))
            return;
        for (int i = 3; i + 2 < a.length; i += 3) {
            try {
                dial(Integer.parseInt(a[i]), a[i + 1], a[i + 2]);
            } catch (Exception x) {
                System.out.println(a[i + 1] + " " + a[i + 2] + ": " + reasons(x));
                failed = true;
            }
        }
        System.exit(failed ? 1 : 0);
    }
}
