import com.google.gson.Gson;
import com.google.gson.JsonParseException;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executors;

/** The test protocol over HTTP on loopback, around one kind of encryption client. */
final class Server {
    /** An encryption client of either SDK. */
    interface EncryptionClient {
        void put(String bucket, String key, byte[] body, Map<String, String> context) throws Exception;

        byte[] get(String bucket, String key, Map<String, String> context, String range, String suffix)
                throws Exception;

        void reencrypt(String bucket, String key, Config.KeyMaterial next, String suffix, boolean enforceRotation)
                throws Exception;
    }

    /** Makes a client as the configuration wants it. */
    interface Maker {
        EncryptionClient make(Config config) throws Exception;
    }

    /** What this server does not do: no refusal of the encryption client. */
    static final class Unsupported extends RuntimeException {
        Unsupported(String message) {
            super(message);
        }
    }

    private static final String TYPES = "software.amazon.encryption.s3#";
    private static final Gson GSON = new Gson();

    private final Map<String, EncryptionClient> clients = new ConcurrentHashMap<>();
    private final Maker maker;

    private Server(Maker maker) {
        this.maker = maker;
    }

    /** Serves until standard input ends. */
    static void run(Maker maker) throws IOException {
        Server server = new Server(maker);
        HttpServer http = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        http.createContext("/", server::handle);
        http.setExecutor(Executors.newCachedThreadPool());
        http.start();
        System.out.println("{\"port\":" + http.getAddress().getPort() + "}");
        System.out.flush();
        while (System.in.read() != -1) {
            // Only its end means something.
        }
        System.exit(0);
    }

    private void handle(HttpExchange exchange) throws IOException {
        try (exchange) {
            byte[] body = exchange.getRequestBody().readAllBytes();
            try {
                answer(exchange, 200, dispatch(exchange, body));
            } catch (Unsupported | JsonParseException error) {
                answer(exchange, 500, failure("GenericServerError", error));
            } catch (UnknownClient error) {
                answer(exchange, 404, failure("GenericServerError", error));
            } catch (Exception error) {
                answer(exchange, 500, failure("S3EncryptionClientError", error));
            } catch (Throwable error) {
                answer(exchange, 500, failure("GenericServerError", error));
            }
        }
    }

    private static final class UnknownClient extends RuntimeException {
        UnknownClient() {
            super("no such client");
        }
    }

    private byte[] dispatch(HttpExchange exchange, byte[] body) throws Exception {
        String[] path = exchange.getRequestURI().getRawPath().split("/");
        String route = exchange.getRequestMethod() + " " + (path.length > 1 ? path[1] : "") + " " + path.length;
        if (route.equals("POST client 2")) {
            Config config = GSON.fromJson(text(body), Config.Request.class).config;
            String clientId = UUID.randomUUID().toString();
            clients.put(clientId, maker.make(config));
            return json("clientId", clientId);
        }
        if (path.length < 4 || !path[1].equals("object")) throw new Unsupported("no such operation: " + route);
        EncryptionClient client = clients.get(String.valueOf(header(exchange, "ClientID")));
        if (client == null) throw new UnknownClient();
        String bucket = decode(path[2]);
        String key = decode(path[3]);
        Map<String, String> context = decodeContext(header(exchange, "Content-Metadata"));
        String suffix = header(exchange, "InstructionFileSuffix");
        switch (route) {
            case "PUT object 4":
                client.put(bucket, key, body, context);
                return json("bucket", bucket, "key", key, "metadata", new String[0]);
            case "GET object 4":
                exchange.getResponseHeaders().set("Content-Metadata", "");
                return client.get(bucket, key, context, header(exchange, "Range"), suffix);
            case "POST object 5":
                boolean enforce = Boolean.parseBoolean(header(exchange, "EnforceRotation"));
                Config.KeyMaterial next = GSON.fromJson(text(body), Config.KeyMaterial.class);
                client.reencrypt(bucket, key, next, suffix, enforce);
                return json("bucket", bucket, "key", key, "instructionFileSuffix", suffix, "enforceRotation", enforce);
            default:
                throw new Unsupported("no such operation: " + route);
        }
    }

    private static void answer(HttpExchange exchange, int status, byte[] body) throws IOException {
        exchange.sendResponseHeaders(status, body.length == 0 ? -1 : body.length);
        if (body.length > 0) exchange.getResponseBody().write(body);
    }

    /** The message, and those of its causes that it does not quote. */
    private static byte[] failure(String type, Throwable error) {
        StringBuilder message = new StringBuilder(String.valueOf(error.getMessage()));
        for (Throwable cause = error.getCause(); cause != null; cause = cause.getCause()) {
            String said = String.valueOf(cause.getMessage());
            if (message.indexOf(said) < 0) message.append(" <- ").append(said);
        }
        return json("__type", TYPES + type, "message", message.toString());
    }

    private static byte[] json(Object... pairs) {
        Map<String, Object> fields = new LinkedHashMap<>();
        for (int i = 0; i < pairs.length; i += 2) fields.put((String) pairs[i], pairs[i + 1]);
        return GSON.toJson(fields).getBytes(StandardCharsets.UTF_8);
    }

    private static String text(byte[] bytes) {
        return new String(bytes, StandardCharsets.UTF_8);
    }

    private static String decode(String segment) {
        return URI.create(segment).getPath();
    }

    /** A header's value: its bytes are UTF-8, and come as characters. */
    private static String header(HttpExchange exchange, String name) {
        String value = exchange.getRequestHeaders().getFirst(name);
        return value == null ? null : text(value.getBytes(StandardCharsets.ISO_8859_1));
    }

    private static Map<String, String> decodeContext(String text) {
        Map<String, String> context = new HashMap<>();
        if (text == null || text.isEmpty()) return context;
        for (String entry : text.split(",")) {
            String[] pair = entry.split("]:\\[", 2);
            if (pair.length != 2) throw new Unsupported("malformed Content-Metadata");
            context.put(pair[0].substring(1), pair[1].substring(0, pair[1].length() - 1));
        }
        return context;
    }
}
