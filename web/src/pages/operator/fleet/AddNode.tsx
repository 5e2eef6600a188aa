/** Adds a node in three steps: reach it, choose its models, price those that have no price. */
import { Button, Group, Modal, Stack, Text } from "@mantine/core";
import { useState } from "react";
import { call, messageOf } from "../../../api/client";
import { forget } from "../../../api/queries";
import type { ModelFound } from "../../../api/schema";
import { tell } from "../../../components/toasts";
import { ChooseModels, type Chosen, EVERY_MODEL } from "./ChooseModels";
import { Connection, type Reached } from "./Connection";
import { FLEET } from "./NodeMenu";
import { bodyOf, type PriceGiven, PriceModels } from "./PriceModels";

const STEPS = ["Connection", "Models", "Prices"] as const;

export default function AddNode({ close }: { close: () => void }) {
  const [step, setStep] = useState(0);
  const [reached, setReached] = useState<Reached | null>(null);
  const [chosen, setChosen] = useState<Chosen>(EVERY_MODEL);
  const [prices, setPrices] = useState<Record<string, PriceGiven>>({});
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const [isThere, setIsThere] = useState(false);
  const models = reached ? reached.models.filter((model) => chosen === EVERY_MODEL || chosen.has(model.id)) : [];
  const add = async () => {
    if (!reached) return;
    setBusy(true);
    setError(null);
    try {
      // A price can only be set of a model that is served. Where one is refused, the node is there and stays.
      if (!isThere) await call("POST /admin/v1/nodes", { body: { ...reached.node, models: chosen === EVERY_MODEL ? null : models.map(({ id }) => id) } });
      setIsThere(true);
      await setPricesOf(models, prices);
      await forget(...FLEET, "GET /admin/v1/prices", "GET /portal/v1/models");
      tell(`${reached.node.name} is part of the fleet.`);
      close();
    } catch (reason) {
      setError(reason);
      setBusy(false);
      void forget(...FLEET);
    }
  };
  return (
    <Modal opened onClose={close} title={`Add a node: ${STEPS[step]}`} size="lg" closeOnClickOutside={false} closeButtonProps={{ "aria-label": "Close" }}>
      <Text size="sm" c="dimmed" mb="md" role="status">Step {step + 1} of {STEPS.length}: {STEPS[step]}</Text>
      <Connection hidden={step !== 0} onReached={(found) => { setReached(found); setChosen(EVERY_MODEL); setStep(1); }} close={close} />
      {reached && step > 0 && (
        <Stack>
          {step === 1 && <ChooseModels models={reached.models} chosen={chosen} choose={setChosen} tookMs={reached.took_ms} />}
          {step === 2 && <PriceModels models={models} prices={prices} setPrices={setPrices} />}
          {error !== null && <Text c="var(--mantine-color-error)" role="alert">{messageOf(error)}</Text>}
          <Group justify="flex-end">
            <Button variant="default" disabled={isThere} onClick={() => { setError(null); setStep(step - 1); }}>Back</Button>
            {step === 1 && <Button disabled={models.length === 0} onClick={() => setStep(2)}>Continue</Button>}
            {step === 2 && <Button loading={busy} onClick={() => void add()}>{isThere ? "Set prices" : "Add node"}</Button>}
          </Group>
        </Stack>
      )}
    </Modal>
  );
}

async function setPricesOf(models: readonly ModelFound[], prices: Record<string, PriceGiven>) {
  for (const model of models) {
    const body = model.pricing === null ? bodyOf(prices[model.id]) : null;
    if (body) await call("PUT /admin/v1/prices/{model}", { path: { model: model.id }, body });
  }
}
