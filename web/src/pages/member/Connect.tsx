/** How each client is pointed at this gateway, with texts that work as they stand, and a light for the first request. */
import { Alert, Button, Select, Tabs } from "@mantine/core";
import { useState } from "react";
import { useRoute } from "../../api/queries";
import { useFreshKey } from "../../app/freshKey";
import { useFilters } from "../../components/filters";
import { Icon } from "../../components/Icon";
import { NewKey } from "../../components/keys/NewKey";
import { PageHeader } from "../../components/PageHeader";
import { Section } from "../../components/Section";
import { Empty, Loaded } from "../../components/States";
import { ClientGuide } from "./connect/ClientGuide";
import classes from "./connect/connect.module.css";
import { FirstRequest } from "./connect/FirstRequest";

export default function Connect() {
  const [making, setMaking] = useState(false);
  const { values, set } = useFilters(["client", "model"]);
  const guide = useRoute("GET /portal/v1/connect", { query: { model: values.model } });
  const keys = useRoute("GET /portal/v1/keys");
  const fresh = useFreshKey();
  return (
    <>
      <PageHeader title="Connect" description="Point a program at Mira: its address, your key and a model. Everything below works as it stands.">
        <Button variant="default" onClick={() => setMaking(true)} leftSection={<Icon name="plus" />}>Create key</Button>
      </PageHeader>
      <Loaded query={guide}>
        {({ base_url, clients, model, models, placeholder, troubles }) => {
          const chosen = clients.find(({ id }) => id === values.client) ?? clients[0];
          return (
            <div className="stacked">
              {model === null && (
                <Alert variant="default" className="notice" icon={<Icon name="warning" />} title="No model can answer yet">
                  The texts show where its name belongs. The local model may still be loading, or the fleet has no node.
                </Alert>
              )}
              <div className={`surface ${classes.target}`}>
                <dl>
                  <div><dt>Base URL (OpenAI)</dt><dd><code>{base_url}/v1</code></dd></div>
                  <div><dt>Base URL (Anthropic)</dt><dd><code>{base_url}</code></dd></div>
                  <div><dt>Key</dt><dd>{fresh ? `${fresh.name}, already put in below` : <>yours, in place of <code>{placeholder}</code></>}</dd></div>
                </dl>
                {models.length > 0 && (
                  <Select
                    label="Model" data={models} value={model} searchable allowDeselect={false} nothingFoundMessage="No such model"
                    onChange={(value) => set({ model: value })}
                  />
                )}
              </div>
              {keys.data?.data.some(({ managed }) => !managed) ? (
                <FirstRequest keys={keys.data.data.filter(({ managed }) => !managed)} />
              ) : (
                keys.data && (
                  <div className="surface">
                    <Empty title="You need a key first" action={<Button onClick={() => setMaking(true)}>Create key</Button>} />
                  </div>
                )
              )}
              <div className="surface">
                <Tabs value={chosen?.id ?? null} onChange={(client) => set({ client })} keepMounted={false}>
                  <div className={classes.tabs}>
                    <Tabs.List aria-label="Clients">
                      {clients.map(({ id, title }) => <Tabs.Tab key={id} value={id}>{title}</Tabs.Tab>)}
                    </Tabs.List>
                  </div>
                  {clients.map((client) => (
                    <Tabs.Panel key={client.id} value={client.id} p="lg">
                      <ClientGuide client={client} placeholder={placeholder} secret={fresh?.secret ?? null} />
                    </Tabs.Panel>
                  ))}
                </Tabs>
              </div>
              <Section title="When it does not work">
                <dl className={classes.troubles}>
                  {troubles.map(({ seen, remedy }) => <div key={seen}><dt>{seen}</dt><dd>{remedy}</dd></div>)}
                </dl>
              </Section>
            </div>
          );
        }}
      </Loaded>
      {making && <NewKey onClose={() => setMaking(false)} />}
    </>
  );
}
