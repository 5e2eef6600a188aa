/** Talks to models under the session: one or two side by side, with what each answer cost and took. */
import { Button, Drawer } from "@mantine/core";
import { useEffect, useState } from "react";
import { useRoute } from "../../api/queries";
import { useFilters } from "../../components/filters";
import { Icon } from "../../components/Icon";
import { canChat } from "../../components/ModelSelect";
import { PageHeader } from "../../components/PageHeader";
import { Failure } from "../../components/States";
import type { Turn } from "./playground/chat";
import { NO_SETTINGS, type Settings } from "./playground/chat";
import { Composer } from "./playground/Composer";
import { Pane } from "./playground/Pane";
import styles from "./playground/playground.module.css";
import { isSendable, SettingsForm } from "./playground/SettingsForm";
import { useChat } from "./playground/useChat";

export default function Playground() {
  const { values, set } = useFilters(["model", "beside"]);
  const models = useRoute("GET /portal/v1/models");
  const able = (models.data?.data ?? []).filter(canChat);
  const first = values.model || (able[0]?.id ?? "");
  const second = values.beside;
  const [settings, setSettings] = useState<Settings>(NO_SETTINGS);
  const [showsSettings, setShowsSettings] = useState(false);
  const left = useChat(first, settings);
  const right = useChat(second, settings);
  const both = second === "" ? [left] : [left, right];
  const busy = both.some((chat) => chat.busy);
  const other = able.find(({ id }) => id !== first)?.id ?? first;
  useEffect(() => {
    if (second === "") right.clear();
    // Only when the column goes away.
  }, [second]);
  const send = (turn: Turn) => {
    for (const chat of both) chat.say([turn]);
  };
  return (
    <>
      <PageHeader title="Playground" description="Calls are paid by this workspace and stand in its log, under the key “Portal playground”.">
        <Button variant="default" leftSection={<Icon name="gear" />} onClick={() => setShowsSettings(true)}>Settings</Button>
        {second === "" && <Button variant="default" leftSection={<Icon name="plus" />} disabled={other === ""} onClick={() => set({ beside: other })}>Compare</Button>}
      </PageHeader>
      {models.error && !models.data ? <Failure error={models.error} retry={() => void models.refetch()} /> : (
        <div className={styles.stage}>
          <div className={styles.panes} data-two={second !== "" || undefined}>
            <Pane label={second === "" ? "The chat" : "The left chat"} model={first} setModel={(model) => set({ model })} chat={left} settings={settings} />
            {second !== "" && (
              <Pane label="The right chat" model={second} setModel={(beside) => set({ beside })} chat={right} settings={settings} remove={() => set({ beside: null })} />
            )}
          </div>
          <Composer busy={busy} ready={first !== "" && isSendable(settings)} send={send} stop={() => both.forEach((chat) => chat.stop())} />
        </div>
      )}
      <Drawer opened={showsSettings} onClose={() => setShowsSettings(false)} position="right" title="Settings" closeButtonProps={{ "aria-label": "Close" }}>
        <SettingsForm settings={settings} set={setSettings} />
      </Drawer>
    </>
  );
}
