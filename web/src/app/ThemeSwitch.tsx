import { ActionIcon, Menu, useMantineColorScheme } from "@mantine/core";
import { Icon, type IconName } from "../components/Icon";

const SCHEMES: { value: "auto" | "light" | "dark"; label: string; icon: IconName }[] = [
  { value: "auto", label: "As the system", icon: "screen" },
  { value: "light", label: "Light", icon: "sun" },
  { value: "dark", label: "Dark", icon: "moon" },
];

export function ThemeSwitch() {
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  const chosen = SCHEMES.find((scheme) => scheme.value === colorScheme);
  return (
    <Menu position="bottom-end">
      <Menu.Target>
        <ActionIcon variant="subtle" color="gray" size="lg" aria-label={`Theme: ${chosen?.label ?? ""}`}>
          <Icon name={chosen?.icon ?? "screen"} />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        {SCHEMES.map(({ value, label, icon }) => (
          <Menu.Item
            key={value}
            role="menuitemradio"
            aria-checked={value === colorScheme}
            leftSection={<Icon name={icon} />}
            rightSection={value === colorScheme ? <Icon name="check" /> : null}
            onClick={() => setColorScheme(value)}
          >
            {label}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  );
}
