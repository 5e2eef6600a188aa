import { Drawer } from "@mantine/core";
import { Navigation } from "./Navigation";

/** The navigation of a narrow window. */
export default function NavigationDrawer({ close }: { close: () => void }) {
  return (
    <Drawer opened onClose={close} title="Pages" size={272} closeButtonProps={{ "aria-label": "Close" }}>
      <nav aria-label="Pages"><Navigation /></nav>
    </Drawer>
  );
}
