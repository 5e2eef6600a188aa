/** Goes to any page by its name: Ctrl K or ⌘ K. */
import { createSpotlight, Spotlight, type SpotlightActionData } from "@mantine/spotlight";
import "@mantine/spotlight/styles.css";
import { useEffect } from "react";
import { useNavigate } from "react-router";
import { Icon } from "../components/Icon";
import { navigation } from "./registry";
import { useSession } from "./session";

const MOST_SHOWN = 9;
const [store, spotlight] = createSpotlight();

export default function Palette({ close }: { close: () => void }) {
  const session = useSession();
  const navigate = useNavigate();
  useEffect(() => spotlight.open(), []);
  const actions: SpotlightActionData[] = navigation(session.operator_pages).flatMap(([group, pages]) =>
    pages.map((page) => ({
      id: page.id,
      label: page.title,
      description: group,
      onClick: () => void navigate(page.path),
      leftSection: page.icon && <Icon name={page.icon} />,
    })),
  );
  return (
    <Spotlight
      store={store}
      shortcut={null}
      actions={actions}
      onSpotlightClose={close}
      nothingFound="No such page"
      highlightQuery
      limit={MOST_SHOWN}
      attributes={{ content: { "aria-label": "Go to a page" } }}
      searchProps={{ leftSection: <Icon name="search" />, placeholder: "Go to a page", "aria-label": "Go to a page" }}
    />
  );
}
