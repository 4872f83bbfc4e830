import com.sun.net.httpserver.HttpServer;
import java.net.*;
import java.net.http.*;
import java.nio.charset.StandardCharsets;

/** Serves, and calls itself by three kinds of client. */
public class Server {
    public static void main(String[] arguments) throws Exception {
        HttpServer server = HttpServer.create(new InetSocketAddress("0.0.0.0", 8080), 16);
        server.createContext("/", exchange -> {
            byte[] body = ("peer " + exchange.getRemoteAddress().getAddress().getHostAddress()).getBytes(StandardCharsets.UTF_8);
            exchange.sendResponseHeaders(200, body.length);
            exchange.getResponseBody().write(body);
            exchange.close();
        });
        server.start();
        URI self = URI.create("http://127.0.0.1:8080/");
        HttpURLConnection old = (HttpURLConnection) self.toURL().openConnection();
        System.out.println(new String(old.getInputStream().readAllBytes()));
        System.out.println(HttpClient.newHttpClient().send(HttpRequest.newBuilder(self).build(), HttpResponse.BodyHandlers.ofString()).body());
        try (ServerSocket plain = new ServerSocket(8090); Socket client = new Socket("127.0.0.1", 8090); Socket accepted = plain.accept()) {
            System.out.println(accepted.getRemoteSocketAddress().equals(client.getLocalSocketAddress()));
        }
        System.out.println(NetworkInterface.getByName("lo").getInetAddresses().hasMoreElements());
        System.out.println("ready");
    }
}
