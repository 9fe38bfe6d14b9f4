// SPDX-License-Identifier: GPL-3.0-or-later

import java.net.InetAddress;
import java.net.UnknownHostException;
import java.util.Arrays;
import java.util.Hashtable;
import javax.naming.NameNotFoundException;
import javax.naming.NamingException;
import javax.naming.directory.InitialDirContext;

/** Looks a name up by the way of Java's programs, or by its own DNS client: Lookup net|dns NAME. */
public class Lookup {
    public static void main(String[] arguments) throws NamingException {
        try {
            System.out.println(arguments[0].equals("net") ? Arrays.toString(InetAddress.getAllByName(arguments[1]))
                    : new InitialDirContext(new Hashtable<>()).getAttributes("dns:///" + arguments[1], new String[] {"A"}));
        } catch (UnknownHostException | NameNotFoundException error) {
            System.out.println(error);
            System.exit(1);
        }
    }
}
