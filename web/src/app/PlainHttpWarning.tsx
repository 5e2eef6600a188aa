import { Alert } from "@mantine/core";
import { Icon } from "../components/Icon";
import { useAnySession } from "./session";

const HERE = ["localhost", "127.0.0.1", "[::1]"];

/** Says that the connection is readable on its way, unless it does not leave this machine. */
export function PlainHttpWarning() {
  const { secure } = useAnySession();
  if (secure || HERE.includes(location.hostname)) return null;
  return (
    <Alert color="yellow" variant="default" className="notice" icon={<Icon name="warning" />} title="This connection is not encrypted">
      Passwords and keys travel readable between this browser and Mira. Put a proxy with TLS in front of it for any use
      beyond your own machine.
    </Alert>
  );
}
