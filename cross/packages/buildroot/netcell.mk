################################################################################
#
# netcell
#
################################################################################

# Copy this folder to package/netcell, and name its Config.in in package/Config.in; the archive is made by
# cross/packages/source and belongs to $(BR2_DL_DIR)/netcell.
NETCELL_VERSION = 0.1.0
NETCELL_SOURCE = netcell-$(NETCELL_VERSION).tar.gz
NETCELL_SITE = file://$(BR2_DL_DIR)/netcell
NETCELL_LICENSE = Apache-2.0 or MIT
NETCELL_LICENSE_FILES = LICENSE-APACHE LICENSE-MIT

define NETCELL_LINUX_CONFIG_FIXUPS
	$(foreach option,NAMESPACES NET_NS UTS_NS IPC_NS PID_NS VETH BRIDGE NETFILTER NF_TABLES NF_TABLES_INET \
		NF_TABLES_BRIDGE NFT_CT NFT_NAT NFT_MASQ NFT_FIB_INET NFT_REJECT NF_CT_NETLINK OVERLAY_FS,\
		$(call KCONFIG_ENABLE_OPT,CONFIG_$(option))$(sep))
endef

define NETCELL_INSTALL_INIT_SYSV
	$(INSTALL) -D -m 755 $(@D)/cross/init.d/netcell $(TARGET_DIR)/etc/init.d/S80netcell
endef

define NETCELL_INSTALL_INIT_SYSTEMD
	$(INSTALL) -D -m 644 $(@D)/cross/init.d/netcell.service $(TARGET_DIR)/usr/lib/systemd/system/netcell.service
endef

$(eval $(cargo-package))
