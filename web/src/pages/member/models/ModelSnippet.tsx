import { Modal } from "@mantine/core";
import { useRoute } from "../../../api/queries";
import { useFreshKey } from "../../../app/freshKey";
import { Snippet } from "../../../components/Snippet";
import { Loaded } from "../../../components/States";

/** A model's name in the shortest command that asks it something. */
export function ModelSnippet({ model, onClose }: { model: string; onClose: () => void }) {
  const guide = useRoute("GET /portal/v1/connect", { query: { model } });
  const fresh = useFreshKey();
  return (
    <Modal opened onClose={onClose} title={model} size="lg" closeButtonProps={{ "aria-label": "Close" }}>
      <Loaded query={guide} height={160}>
        {({ clients, placeholder }) => {
          const text = clients.find(({ id }) => id === "curl")?.snippet?.text ?? "";
          return <Snippet name="curl" text={fresh ? text.replaceAll(placeholder, fresh.secret) : text} />;
        }}
      </Loaded>
    </Modal>
  );
}
