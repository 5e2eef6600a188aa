import { Button, Group, Modal, NumberInput, Stack, Text, TextInput } from "@mantine/core";
import { type FormEvent, useState } from "react";
import { ApiError, messageOf } from "../../../api/client";
import { useChange } from "../../../api/queries";
import type { NodeRow } from "../../../api/schema";
import { tell } from "../../../components/toasts";
import { FLEET } from "./NodeMenu";

/** How much a node is given, and at what markup. */
export function EditNode({ node, close }: { node: NodeRow; close: () => void }) {
  const [weight, setWeight] = useState<number | string>(node.weight);
  const [most, setMost] = useState<number | string>(node.max_in_flight ?? "");
  const [markup, setMarkup] = useState(node.markup);
  const [address, setAddress] = useState(node.base_url ?? "");
  const [patience, setPatience] = useState<number | string>(node.first_token_s);
  const change = useChange("PATCH /admin/v1/nodes/{name}", FLEET);
  const wrong = (field: string) => change.error instanceof ApiError && change.error.field === field && change.error.message;
  const save = async (event: FormEvent) => {
    event.preventDefault();
    const body = {
      weight: Number(weight),
      max_in_flight: most === "" ? null : Number(most),
      markup,
      first_token_s: Number(patience),
      ...(address === node.base_url ? {} : { base_url: address }),
    };
    await change.mutateAsync({ path: { name: node.name }, body }).then(() => { tell(`${node.name} is changed.`); close(); }, () => undefined);
  };
  const told = change.error && !(change.error instanceof ApiError && change.error.field);
  return (
    <Modal opened onClose={close} title={`Weight and limits of ${node.name}`} closeButtonProps={{ "aria-label": "Close" }}>
      <form onSubmit={(event) => void save(event)}>
        <Stack>
          <NumberInput label="Weight" description="Its share beside other nodes of the same model" min={0} step={0.5} required
            value={weight} onChange={setWeight} error={wrong("weight")} data-autofocus />
          <NumberInput label="Calls at once" description="Empty: as many as come" min={1} allowDecimal={false}
            value={most} onChange={setMost} error={wrong("max_in_flight")} />
          <TextInput label="Markup" description="What customers pay over what the node charges: 1.2 is 20 % more" required inputMode="decimal"
            value={markup} onChange={(event) => setMarkup(event.currentTarget.value)} error={wrong("markup")} />
          <NumberInput label="Patience in seconds" description="Without a first word for so long, another node is tried" min={1} required
            value={patience} onChange={setPatience} error={wrong("first_token_s")} />
          <TextInput label="Base URL" type="url" required value={address}
            onChange={(event) => setAddress(event.currentTarget.value)} error={wrong("base_url")} />
          {told && <Text c="var(--mantine-color-error)" role="alert">{messageOf(change.error)}</Text>}
          <Group justify="flex-end">
            <Button variant="default" onClick={close}>Cancel</Button>
            <Button type="submit" loading={change.isPending}>Save</Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
