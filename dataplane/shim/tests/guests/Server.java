import com.sun.net.httpserver.HttpServer;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.concurrent.Executors;

/** The JDK's own HTTP server: a selector between requests, blocking reads within them, a pool of threads. */
public class Server {
    public static void main(String[] arguments) throws Exception {
        HttpServer server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 64);
        server.setExecutor(Executors.newFixedThreadPool(4));
        server.createContext("/", exchange -> {
            byte[] body = exchange.getRequestBody().readAllBytes();
            String more = exchange.getRequestURI().getPath().equals("/child") ? "child\n" : "";
            byte[] answer = new byte[body.length + more.length()];
            System.arraycopy(body, 0, answer, 0, body.length);
            System.arraycopy(more.getBytes(), 0, answer, body.length, more.length());
            for (int left = 0, right = answer.length - 1; left < right; left++, right--) {
                byte swap = answer[left];
                answer[left] = answer[right];
                answer[right] = swap;
            }
            if (answer.length == 0) exchange.getResponseHeaders().set("Content-Length", "0");
            exchange.sendResponseHeaders(200, answer.length == 0 ? -1 : answer.length);
            if (answer.length > 0) exchange.getResponseBody().write(answer);
            exchange.close();
        });
        server.start();
        System.out.println(server.getAddress().getPort());
    }
}
