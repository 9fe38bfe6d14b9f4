// SPDX-License-Identifier: GPL-3.0-or-later
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;

/** Connects to port 80 of a host within so many seconds, and prints why it can't: Reach HOST SECONDS. */
public class Reach {
    public static void main(String[] arguments) {
        try (Socket socket = new Socket()) {
            socket.connect(new InetSocketAddress(InetAddress.getByName(arguments[0]), 80), Integer.parseInt(arguments[1]) * 1000);
        } catch (java.io.IOException error) {
            System.out.println(error);
            System.exit(1);
        }
    }
}
